import type { AnsweredRequest } from "../api/ports.ts";
import type { Metrics } from "./metrics.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Counts one answer of the API. */
export function countAnswer(
  { httpRequests, submits }: Pick<Metrics, "httpRequests" | "submits">,
  answer: AnsweredRequest,
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
