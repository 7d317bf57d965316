/*
 * W3C Trace Context (https://www.w3.org/TR/trace-context/): a caller that traces tells in which trace its request is. That is
 * handed to the job, whose own spans then hang below the caller's; this service makes none.
 */

/** Version, trace id, parent id and flags; more may follow in versions that are not known yet (section 3.2.2). */
const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** The one flag that version 00 knows (section 3.2.2.5). */
const SAMPLED = 0x01;

/** The value of a `traceparent` header as it is handed on, in version 00; null without one, and of one that is to be ignored (section 4.3). */
export function readTraceparent(header: string | null): string | null {
  const [, version = "ff", traceId = "", parentId = "", flags = "", rest] =
    TRACEPARENT.exec(header ?? "") ?? [];
  if (version === "ff" || isZero(traceId) || isZero(parentId)) return null;
  if (version === "00") return rest === undefined ? header : null;
  // Of a later version only what 00 has is known, so that is all that is handed on (section 3.2.4).
  const known = Number.parseInt(flags, 16) & SAMPLED;
  return `00-${traceId}-${parentId}-0${known}`;
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex);
}

/** What a line of the service's log says of a trace; nothing where there is none. */
export interface TraceFields {
  readonly trace_id?: string;
  /** The caller's span. */
  readonly span_id?: string;
}

/**
 * The ids of a traceparent as readTraceparent gives it, by the names that log tooling looks for
 * (opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context).
 */
export function traceFields(traceparent: string | null | undefined): TraceFields {
  if (traceparent === null || traceparent === undefined) return {};
  const [, traceId = "", parentId = ""] = traceparent.split("-");
  return { trace_id: traceId, span_id: parentId };
}
