import type { StreamName } from "../jobs/log-entry.ts";
import { formatEventId, type LogEvent } from "../logs/events.ts";
import type { FollowStep } from "../logs/follow.ts";
import { endNoteView } from "./job-view.ts";

/*
 * The framer of our event streams (WHATWG HTML, "Server-sent events"). It writes one `data:` line per event and escapes
 * nothing, because nothing that it is given can hold a line end: lines are cut at CR and LF before they come here, and
 * everything else is JSON. A framework's helper that takes arbitrary text would let a program forge events.
 */

/** Goes out with the headers: opens the stream for the client, and sets how long it waits before it reconnects. */
export const STREAM_OPENING = "retry: 1500\n: ok\n\n";

/** Clients of a server that stops come back after this, each after another time, so that not all do at once. */
const MIN_RECONNECT_MS = 500;
const MAX_RECONNECT_MS = 2_500;

/** The last words of a stream whose log goes on: the server stops. `share`, from 0 to 1, is the client's place in the spread. */
export function frameRestart(share: number): string {
  const retryMs = Math.round(MIN_RECONNECT_MS + share * (MAX_RECONNECT_MS - MIN_RECONNECT_MS));
  return `retry: ${retryMs}\n: the server is restarting; connect again with the last id\n\n`;
}

const HEARTBEAT = ": heartbeat\n\n";
const RESET = "event: reset\ndata: {}\n\n";

/** The text of one step; all that is ready goes into one chunk, which is what a fast stream's cost depends on. */
export function frameStep(step: FollowStep): string {
  if (step.kind === "heartbeat") return HEARTBEAT;
  if (step.kind === "reset") return RESET;
  return step.events.map(frameEvent).join("");
}

function frameEvent(event: LogEvent): string {
  const id = formatEventId(event.id);
  switch (event.kind) {
    case "line":
      return `id: ${id}\ndata: ${event.text}\n\n`;
    case "piece":
      return `id: ${id}\ndata: ${JSON.stringify(pieceView(event))}\n\n`;
    case "attempt": {
      const { attempt, reason } = event;
      return named("attempt", id, reason === null ? { attempt } : { attempt, reason });
    }
    case "gap":
      return named("gap", id, { dropped_bytes: event.droppedBytes });
    case "end":
      return named("end", id, endNoteView(event.end));
  }
}

function named(name: string, id: string, data: object): string {
  return `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
}

interface PieceView {
  readonly stream: StreamName;
  readonly text?: string;
  readonly b64?: string;
}

function pieceView(event: Extract<LogEvent, { kind: "piece" }>): PieceView {
  const { stream, content } = event;
  return "text" in content
    ? { stream, text: content.text }
    : { stream, b64: Buffer.from(content.bytes).toString("base64") };
}
