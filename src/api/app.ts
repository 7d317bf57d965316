import { randomUUID } from "node:crypto";

import { Elysia, ValidationError } from "elysia";

import { AppError, type FieldError } from "../errors.ts";
import { describeSchemaError } from "../jobs/schema-errors.ts";
import { artifactRoutes } from "./artifacts.ts";
import { checkCaller, corsHeaders } from "./guard.ts";
import { jobRoutes } from "./jobs.ts";
import { logRoutes } from "./logs.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiPorts } from "./ports.ts";
import { problemResponse } from "./problem.ts";
import { serverInfoRoutes } from "./server-info.ts";

/** The whole HTTP surface as one function; it does not listen. */
export interface Api {
  fetch(request: Request): Promise<Response>;
  /** Method and path of every route, such as `GET /jobs/:id`. */
  readonly routes: readonly string[];
}

export function createApi(ports: ApiPorts): Api {
  const requestIds = new WeakMap<Request, string>();
  const app = new Elysia({
    // Without it, paths on short host names (http://api/jobs/1) are cut in the wrong place and answer 404.
    handler: { standardHostname: false },
    // An unknown query parameter is refused by its schema; by default it is dropped in silence.
    normalize: false,
    allowUnsafeValidationDetails: true,
  })
    .onError(({ error, code, request }) => {
      const requestId = requestIds.get(request) ?? "";
      const known = translate(error, code, { request, routes });
      if (!(known instanceof AppError)) ports.onError(error, requestId);
      return problemResponse(known, request, requestId);
    })
    .onRequest(({ request }) => {
      checkCaller(request, ports.callers);
      if (request.method === "OPTIONS") return new Response(null, { status: 204 });
      return undefined;
    })
    .use(jobRoutes(ports))
    .use(logRoutes(ports))
    .use(artifactRoutes(ports))
    .use(serverInfoRoutes(ports))
    .get("/openapi.json", () => Response.json(openApiDocument()));
  const routes = app.routes.map(({ method, path }) => `${method} ${path}`);

  return {
    routes,
    async fetch(request) {
      const requestId = requestIdOf(request);
      requestIds.set(request, requestId);
      const response = await app.fetch(request);
      response.headers.set("X-Request-Id", requestId);
      for (const [name, value] of Object.entries(corsHeaders(request, ports.callers)))
        response.headers.set(name, value);
      return response;
    },
  };
}

/** A client's own id is taken over when it is fit for a header and a log line. */
function requestIdOf(request: Request): string {
  const given = request.headers.get("x-request-id") ?? "";
  return /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Elysia's own errors as ours; everything else as it is. */
function translate(
  error: unknown,
  code: unknown,
  { request, routes }: { request: Request; routes: readonly string[] },
): unknown {
  if (error instanceof ValidationError) return invalidQuery(error);
  if (code === "NOT_FOUND") return unknownRoute(request, routes);
  if (code === "PARSE") return new AppError("bad_request", "The request body cannot be read.");
  return error;
}

function invalidQuery(error: ValidationError): AppError {
  const fields: FieldError[] = error.all.flatMap((problem) =>
    "path" in problem ? [{ pointer: problem.path, detail: describeSchemaError(problem) }] : [],
  );
  const [first] = fields;
  const message =
    first === undefined ? "The query is not valid." : `${first.pointer}: ${first.detail}`;
  return new AppError("invalid_query", message, { fields });
}

/** Tells a wrong method on a right path from a wrong path. */
function unknownRoute(request: Request, routes: readonly string[]): AppError {
  const { pathname } = new URL(request.url);
  const methods = routes
    .filter((route) => pathMatches(route.slice(route.indexOf(" ") + 1), pathname))
    .map((route) => route.slice(0, route.indexOf(" ")));
  if (methods.length > 0)
    return new AppError(
      "method_not_allowed",
      `${request.method} is not allowed on ${pathname}; ${[...new Set(methods)].join(", ")} is.`,
    );
  return new AppError("not_found", `There is nothing at ${pathname}.`);
}

function pathMatches(pattern: string, pathname: string): boolean {
  const expected = pattern.split("/");
  const given = pathname.split("/");
  if (!pattern.endsWith("*") && expected.length !== given.length) return false;
  return expected.every(
    (part, index) =>
      part === "*" || (part.startsWith(":") ? given[index] !== "" : part === given[index]),
  );
}
