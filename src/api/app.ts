import { randomUUID } from "node:crypto";

import { type AnyElysia, Elysia, ValidationError } from "elysia";

import { AppError, type ErrorCode, type FieldError, messageOf } from "../errors.ts";
import { describeSchemaError, escapePointer } from "../jobs/schema-errors.ts";
import { readTraceparent, traceFields } from "../jobs/trace-context.ts";
import type { Caller } from "../keys/caller.ts";
import type { Logger } from "../logger.ts";
import { docsRoutes } from "./docs.ts";
import { fileRoutes } from "./files.ts";
import { checkCaller, corsHeaders } from "./guard.ts";
import { REPLAYED_HEADER } from "./idempotency.ts";
import { jobRoutes } from "./jobs.ts";
import { logRoutes } from "./logs.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiPorts, RoutePorts, ServingPorts } from "./ports.ts";
import { probeRoutes } from "./probes.ts";
import { problemResponse } from "./problem.ts";
import { rateLimitHeaders } from "./rate-limit.ts";
import { allowedMethods, patternOf, unknownRoute } from "./routing.ts";
import { serverInfoRoutes } from "./server-info.ts";
import { NoQuery } from "./request-schemas.ts";
import { statsRoutes } from "./stats.ts";

/** The whole HTTP surface as one function; it does not listen. */
export interface Api {
  fetch(request: Request): Promise<Response>;
  /** Method and path of every route, such as `GET /jobs/:id`. */
  readonly routes: readonly string[];
}

/** The API of the service, with every route there is. Nothing is started. */
export function createApi(ports: ApiPorts): Api {
  const plugins = (requests: OfRequest): readonly AnyElysia[] => {
    const parts: RoutePorts = { ...ports, ...requests };
    return [
      jobRoutes(parts),
      logRoutes(parts),
      fileRoutes(parts),
      serverInfoRoutes(ports),
      statsRoutes(ports),
      probeRoutes(ports),
      docsRoutes(),
      new Elysia().get("/openapi.json", () => Response.json(openApiDocument()), {
        query: NoQuery,
      }),
    ];
  };
  return serving(ports, plugins, (route, caller) => rateLimitHeaders(ports.store, route, caller));
}

/** What a worker process serves: nothing of jobs, and the same rules of who may call. */
export function createProbeApi(ports: ServingPorts): Api {
  return serving(
    ports,
    () => [probeRoutes(ports)],
    () => Promise.resolve({}),
  );
}

/** What is known of a request besides itself. */
type OfRequest = Pick<RoutePorts, "logOf" | "callerOf">;

/** Wires routes, guard and errors. Whatever a request does, it is answered: with its result or with a problem body. */
function serving(
  ports: ServingPorts,
  pluginsWith: (requests: OfRequest) => readonly AnyElysia[],
  headersFor: (route: string, caller: Caller) => Promise<Record<string, string>>,
): Api {
  const requests = createRequestNotes(ports.log);
  const { logOf, callerOf, callers, problemCodes } = requests;
  const app = new Elysia({
    // Without it, paths on short host names (http://api/jobs/1) are cut in the wrong place and answer 404.
    handler: { standardHostname: false },
    // An unknown query parameter is refused by its schema; by default it is dropped in silence.
    normalize: false,
    allowUnsafeValidationDetails: true,
  })
    .onError(({ error, code, request }) => {
      const requestId = requests.idOf(request);
      const allowed = code === "NOT_FOUND" ? allowedMethods(request, routes) : [];
      const known = translate(error, code, { request, allowed });
      logFailure(logOf(request), known, requestId);
      problemCodes.set(request, known instanceof AppError ? known.code : "internal");
      const response = problemResponse(known, request, requestId);
      if (allowed.length > 0) response.headers.set("Allow", allowed.join(", "));
      return response;
    })
    .onRequest(async ({ request }) => {
      const caller = await checkCaller(request, ports.callers);
      if (caller !== null) callers.set(request, caller);
      checkUrl(request);
      if (request.method === "OPTIONS") return new Response(null, { status: 204 });
      return undefined;
    });
  for (const plugin of pluginsWith({ logOf, callerOf })) app.use(plugin);
  const routes = app.routes.map(({ method, path }) => `${method} ${path}`);

  return {
    routes,
    async fetch(received) {
      const startedAtMs = performance.now();
      const isHead = received.method === "HEAD";
      const usable = withUsableUrl(received);
      // Elysia's own HEAD reads the whole body to learn its length, that of an endless stream too.
      const request = isHead ? new Request(usable, { method: "GET" }) : usable;
      const response = await app.fetch(request);
      const route = patternOf(request, routes);
      const caller = callers.get(request);
      const headers = {
        "X-Request-Id": requests.idOf(request),
        ...corsHeaders(request, ports.callers),
        ...(caller !== undefined && (await headersFor(`${request.method} ${route ?? ""}`, caller))),
      };
      for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
      ports.onAnswer({
        method: received.method,
        route,
        status: response.status,
        code: problemCodes.get(request) ?? null,
        isReplay: response.headers.has(REPLAYED_HEADER),
      });
      logAnswer(logOf(request), received.method, { request, response, startedAtMs });
      return isHead ? await withoutStream(response) : response;
    },
  };
}

/** What is not the client's doing. A store that is away fails every request, and is told of once by who watches it. */
function logFailure(log: Logger, error: unknown, requestId: string): void {
  const message = `Request ${requestId} failed: ${messageOf(error)}`;
  if (!(error instanceof AppError)) log.error("request_failed", message, { error });
  else if (error.code === "store_unavailable") log.debug("request_failed", message, { error });
}

/** The time is that to the headers: a stream's end has an event of its own. */
function logAnswer(
  log: Logger,
  method: string,
  answer: { readonly request: Request; readonly response: Response; readonly startedAtMs: number },
): void {
  const { status } = answer.response;
  const path = new URL(answer.request.url).pathname;
  const duration = Math.round(performance.now() - answer.startedAtMs);
  const fields = { method, path, status, duration_ms: duration };
  log.debug("request_answered", "A request was answered.", fields);
}

/** What is noted of each request while it lasts. */
function createRequestNotes(log: Logger) {
  const ids = new WeakMap<Request, string>();
  const callers = new WeakMap<Request, Caller>();
  const idOf = (request: Request): string => {
    const id = ids.get(request) ?? newRequestId(request);
    ids.set(request, id);
    return id;
  };
  return {
    idOf,
    /** Of those that the guard has let through. */
    callers,
    /** Of those that are answered with a problem. */
    problemCodes: new WeakMap<Request, ErrorCode>(),
    logOf: (request: Request): Logger => {
      const keyId = callers.get(request)?.keyId ?? null;
      const traceparent = readTraceparent(request.headers.get("traceparent"));
      return log.child({
        request_id: idOf(request),
        ...(keyId !== null && { key_id: keyId }),
        ...traceFields(traceparent),
      });
    },
    callerOf: (request: Request): Caller => {
      const caller = callers.get(request);
      if (caller === undefined) throw new AppError("unauthorized", "Nobody knows who calls.");
      return caller;
    },
  };
}

/** A client's own id is taken over when it is fit for a header and a log line. */
function newRequestId(request: Request): string {
  const given = request.headers.get("x-request-id") ?? "";
  return /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

const NOBODY = "http://host.invalid";

/**
 * Without a Host that fits a URL (an HTTP/1.0 probe, or garbage) a request has no URL either. It gets one under a name
 * that nobody has (RFC 2606), so that the guard decides on it like on any other.
 */
function withUsableUrl(request: Request): Request {
  if (URL.canParse(request.url)) return request;
  const path = request.url.replace(/^[a-z]+:\/\/[^/]*/i, "");
  // Normalised, as every other URL is by now: the guard and the router must not see two different paths.
  const url = URL.parse(path, NOBODY) ?? new URL(NOBODY);
  return new Request(url.origin === NOBODY ? url.href : NOBODY, request);
}

/** For HEAD: the server drops a body by itself, but with a stream it drops the length that we gave as well. */
async function withoutStream(response: Response): Promise<Response> {
  if (!response.headers.has("content-length")) return response;
  await response.body?.cancel();
  return new Response(null, { status: response.status, headers: response.headers });
}

/** Refuses what a router or a query parser would silently make something else of. */
function checkUrl(request: Request): void {
  const { pathname, searchParams } = new URL(request.url);
  try {
    decodeURIComponent(pathname);
  } catch {
    throw new AppError("bad_request", `The path ${pathname} is not validly percent-encoded.`);
  }
  const seen = new Set<string>();
  for (const name of searchParams.keys()) {
    if (seen.has(name))
      throw invalidQuery([
        { pointer: `/${escapePointer(name)}`, detail: "The parameter is given twice." },
      ]);
    seen.add(name);
  }
}

/** Elysia's own errors as ours; everything else as it is. */
function translate(
  error: unknown,
  code: unknown,
  { request, allowed }: { request: Request; allowed: readonly string[] },
): unknown {
  if (error instanceof ValidationError) return invalidQuery(queryErrors(error));
  if (code === "NOT_FOUND") return unknownRoute(request, allowed);
  if (code === "PARSE") return new AppError("bad_request", "The request body cannot be read.");
  return error;
}

function queryErrors(error: ValidationError): readonly FieldError[] {
  return error.all.flatMap((problem) =>
    "path" in problem ? [{ pointer: problem.path, detail: describeSchemaError(problem) }] : [],
  );
}

function invalidQuery(fields: readonly FieldError[]): AppError {
  const [first] = fields;
  const message =
    first === undefined ? "The query is not valid." : `${first.pointer}: ${first.detail}`;
  return new AppError("invalid_query", message, { fields });
}
