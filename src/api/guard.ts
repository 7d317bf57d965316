import { AppError } from "../errors.ts";
import { isSameSecret, type Scope } from "../keys/api-key.ts";
import { type Caller, callerWith, mayCall, OPERATOR, URL_HOLDER } from "../keys/caller.ts";
import type { KnownKeys } from "../keys/known-keys.ts";
import type { UrlSigner } from "../keys/signed-url.ts";

/*
 * Who may call. A server on localhost that runs code is a target for every web page that its user opens, and for DNS
 * names that resolve to 127.0.0.1: so a server without keys answers only to names that are meant for it, and nothing to
 * pages of another site.
 */

export interface CallerPolicy {
  /** The operator's, which may do everything. With any, every call but the probes needs a key. */
  readonly apiKeys: readonly string[];
  /** Those of the key file, each with its scopes, as they are now. Never rejects. */
  readonly keys: () => Promise<KnownKeys>;
  /** Says which URLs need no key. */
  readonly signer: UrlSigner;
  /** Host names that a server without keys answers to, beside loopback. */
  readonly allowedHosts: readonly string[];
  /** Origins whose pages may call. */
  readonly corsOrigins: readonly string[];
}

/**
 * Probes of an orchestrator, which has no key and may use any host name: they tell nothing but alive or not. And the page of
 * docs.ts, which a browser opens before it can be given a key: it tells nothing, and what it shows is guarded.
 */
const OPEN_PATHS = new Set(["/livez", "/readyz", "/docs"]);

function isOpen({ pathname }: URL): boolean {
  return OPEN_PATHS.has(pathname) || pathname.startsWith("/docs/");
}

/** They tell of everybody's jobs together, which a key that reads its own is not to see. To the router a last slash is none. */
const STATS_PATH = /^\/(stats|metrics)\/*$/;

/** What a signed URL may be of: the artifacts of one job, in one archive or one by one. */
const SIGNED_PATH = /^\/jobs\/[^/]+\/artifacts(\.zip|\/.+)$/;

/**
 * Decides whether a request may go on, and as whose; null where nobody is asked who he is.
 * @throws AppError `unauthorized`, `forbidden_host`, `forbidden_origin`, `forbidden_scope` or `forbidden_signature`.
 */
export async function checkCaller(request: Request, policy: CallerPolicy): Promise<Caller | null> {
  const url = new URL(request.url);
  if (isOpen(url)) return null;
  // Whoever follows such a URL does so from anywhere: it says by itself that it is ours, and no page can make one up.
  if (isSigned(request, url)) return checkSignature(url, policy.signer);
  checkOrigin(request, url, policy);
  const keys = await policy.keys();
  if (policy.apiKeys.length === 0 && !keys.areNeeded) {
    checkHost(request, url, policy);
    return OPERATOR;
  }
  // A browser asks without its credentials first (Fetch standard, "CORS-preflight fetch").
  if (request.method === "OPTIONS") return null;
  const caller = callerOf(request, policy.apiKeys, keys);
  checkScope(caller, scopeFor(request, url));
  return caller;
}

function scopeFor(request: Request, { pathname }: URL): Scope {
  if (STATS_PATH.test(pathname)) return "stats";
  return isReading(request) ? "read" : "submit";
}

function isReading({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

function isSigned(request: Request, { pathname, searchParams }: URL): boolean {
  const names = ["expires", "signature"];
  return (
    isReading(request) && SIGNED_PATH.test(pathname) && names.some((name) => searchParams.has(name))
  );
}

function checkSignature({ pathname, searchParams }: URL, signer: UrlSigner): Caller {
  const expires = searchParams.get("expires") ?? "";
  const signature = searchParams.get("signature") ?? "";
  const found = signer.check(pathname, { expires, signature });
  if (found === "valid") return URL_HOLDER;
  throw new AppError(
    "forbidden_signature",
    found === "expired" ? "The signed URL has expired." : "The signature is not one of this URL.",
  );
}

function checkScope(caller: Caller, scope: Scope): void {
  if (mayCall(caller, scope)) return;
  throw new AppError("forbidden_scope", `The API key does not have the scope "${scope}".`);
}

function checkHost(request: Request, url: URL, policy: CallerPolicy): void {
  const host = request.headers.get("host") ?? url.host;
  const name = host.replace(/:\d+$/, "").toLowerCase();
  const isLoopback =
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(name);
  if (isLoopback || policy.allowedHosts.some((allowed) => allowed.toLowerCase() === name)) return;
  throw new AppError(
    "forbidden_host",
    `The host ${JSON.stringify(name)} is not served here without an API key; the operator can add it to ALLOWED_HOSTS.`,
  );
}

function checkOrigin(request: Request, url: URL, policy: CallerPolicy): void {
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (origin !== null && policy.corsOrigins.includes(origin)) return;
  const isForeignOrigin = origin !== null && !isOwnOrigin(origin, request, url);
  // "none" is a person who typed the address; "same-site" includes other ports of localhost.
  const isForeignSite = site !== null && site !== "same-origin" && site !== "none";
  if (!isForeignOrigin && !isForeignSite) return;
  throw new AppError(
    "forbidden_origin",
    `A page of ${origin ?? "another site"} may not call this server; the operator can add its origin to CORS_ORIGINS.`,
  );
}

function isOwnOrigin(origin: string, request: Request, url: URL): boolean {
  if (!URL.canParse(origin)) return false;
  return new URL(origin).host === (request.headers.get("host") ?? url.host);
}

/** Throws `unauthorized`. */
function callerOf(request: Request, operatorKeys: readonly string[], keys: KnownKeys): Caller {
  const bearer = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  const given = bearer ?? request.headers.get("x-api-key");
  if (given === null)
    throw new AppError(
      "unauthorized",
      "This server needs an API key: send it as Authorization: Bearer KEY, or as X-API-Key.",
    );
  // Every key is compared, in constant time each, so that the answer's time tells nothing about any of them.
  const matches = operatorKeys.map((key) => isSameSecret(key, given));
  if (matches.includes(true)) return OPERATOR;
  const key = keys.find(given);
  if (key === null) throw new AppError("unauthorized", "The API key is not valid.");
  return callerWith(key);
}

/** The headers that let a page of an allowed origin read the answer; none for anybody else. */
export function corsHeaders(request: Request, policy: CallerPolicy): Record<string, string> {
  const origin = request.headers.get("origin");
  if (origin === null || !policy.corsOrigins.includes(origin)) return {};
  return {
    "Access-Control-Allow-Origin": origin,
    "Access-Control-Expose-Headers":
      "Accept-Ranges, Content-Disposition, Content-Range, ETag, Idempotent-Replayed, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
    Vary: "Origin",
    ...(request.method === "OPTIONS" && {
      "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
      "Access-Control-Allow-Headers":
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Range, Traceparent, X-API-Key, X-Request-Id",
      "Access-Control-Max-Age": "600",
    }),
  };
}
