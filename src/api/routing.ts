import { AppError } from "../errors.ts";

/*
 * What a path means to the router, for who has to know it besides: by patterns such as `GET /jobs/:id`.
 */

/** The path of the first route that a request's path fits, whatever its method; null where it fits none. */
export function patternOf(request: Request, routes: readonly string[]): string | null {
  // The router takes a slash at the end for nothing.
  const pathname = new URL(request.url).pathname.replace(/(?<=.)\/$/, "");
  const patterns = routes.map((route) => route.slice(route.indexOf(" ") + 1));
  return patterns.find((pattern) => pathMatches(pattern, pathname)) ?? null;
}

/** The methods of the path that a request names; none where there is nothing at that path. */
export function allowedMethods(request: Request, routes: readonly string[]): readonly string[] {
  const { pathname } = new URL(request.url);
  const methods = routes
    .filter((route) => pathMatches(route.slice(route.indexOf(" ") + 1), pathname))
    .map((route) => route.slice(0, route.indexOf(" ")));
  // Whatever can be read with GET can be asked about with HEAD.
  return [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : method)))];
}

/** Tells a wrong method on a right path from a wrong path. */
export function unknownRoute(request: Request, allowed: readonly string[]): AppError {
  const { pathname } = new URL(request.url);
  if (allowed.length > 0)
    return new AppError(
      "method_not_allowed",
      `${request.method} is not allowed on ${pathname}, only ${allowed.join(", ")}.`,
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
