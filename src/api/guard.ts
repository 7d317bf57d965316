import { createHash, timingSafeEqual } from "node:crypto";

import { AppError } from "../errors.ts";

/*
 * Who may call. A server on localhost that runs code is a target for every web page that its user opens, and for DNS
 * names that resolve to 127.0.0.1: so a server without keys answers only to names that are meant for it, and nothing to
 * pages of another site.
 */

export interface CallerPolicy {
  /** With any, every call but the probes needs one of them. */
  readonly apiKeys: readonly string[];
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

/**
 * Decides whether a request may go on.
 * @throws AppError `unauthorized`, `forbidden_host` or `forbidden_origin`.
 */
export function checkCaller(request: Request, policy: CallerPolicy): void {
  const url = new URL(request.url);
  if (isOpen(url)) return;
  checkOrigin(request, url, policy);
  if (policy.apiKeys.length === 0) checkHost(request, url, policy);
  // A browser asks without its credentials first (Fetch standard, "CORS-preflight fetch").
  else if (request.method !== "OPTIONS") checkKey(request, policy);
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

function checkKey(request: Request, policy: CallerPolicy): void {
  const bearer = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  const given = bearer ?? request.headers.get("x-api-key");
  // Every key is compared, in constant time each, so that the answer's time tells nothing about any of them.
  const matches = policy.apiKeys.map((key) => given != null && isSameSecret(key, given));
  if (matches.includes(true)) return;
  throw new AppError(
    "unauthorized",
    given === null
      ? "This server needs an API key: send it as Authorization: Bearer KEY, or as X-API-Key."
      : "The API key is not valid.",
  );
}

function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** The headers that let a page of an allowed origin read the answer; none for anybody else. */
export function corsHeaders(request: Request, policy: CallerPolicy): Record<string, string> {
  const origin = request.headers.get("origin");
  if (origin === null || !policy.corsOrigins.includes(origin)) return {};
  return {
    "Access-Control-Allow-Origin": origin,
    "Access-Control-Expose-Headers":
      "Accept-Ranges, Content-Disposition, Content-Range, ETag, Idempotent-Replayed, Location, Preference-Applied, Retry-After, X-Request-Id",
    Vary: "Origin",
    ...(request.method === "OPTIONS" && {
      "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
      "Access-Control-Allow-Headers":
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Range, Traceparent, X-API-Key, X-Request-Id",
      "Access-Control-Max-Age": "600",
    }),
  };
}
