import type { ErrorCode } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Counts one answer of the API. `route` is the pattern that the path fits, null where it fits none. */
export function countAnswer(
  { httpRequests, submits }: Pick<Metrics, "httpRequests" | "submits">,
  answer: {
    readonly method: string;
    readonly route: string | null;
    readonly status: number;
    readonly code: ErrorCode | null;
    readonly isReplay: boolean;
  },
): void {
  const { method, route, status, code, isReplay } = answer;
  httpRequests.inc({
    // A client may make a method up.
    method: METHODS.has(method) ? method : "other",
    route: route ?? "none",
    status: String(status),
  });
  const accepted = isReplay ? "replayed" : "accepted";
  if (method === "POST" && route === "/jobs") submits.inc({ answer: code ?? accepted });
}
