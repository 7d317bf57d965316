import { setTimeout as delay } from "node:timers/promises";

import type { Random } from "./random.ts";
import { Violation } from "./violation.ts";

/** An event of a stream, as a client that follows the standard sees it. */
export interface SeenEvent {
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

export interface FollowOptions {
  /** Where the stream is now; the API may have moved since the last connection. */
  readonly url: () => string;
  /** Path and query, e.g. `/jobs/1/logs/stream?format=json`. */
  readonly path: string;
  readonly random: Random;
  /** Of connections: the share that the client itself cuts somewhere. */
  readonly cuts?: number;
  readonly deadlineMs: number;
  /** The store may lose what it has acknowledged, so the client may be told to begin anew. */
  readonly mayReset?: boolean;
}

/** Between two tries to reach an API that is being restarted: nobody tells a client when it is back. */
const RECONNECT_MS = 50;

/**
 * Follows a stream to its `end` over any number of connections, each resumed with the id of the last event, as an
 * EventSource does. A connection ends by chance, or because something dies. Throws a Violation when the stream is refused
 * for good, or has not ended at the deadline.
 */
export async function follow(options: FollowOptions): Promise<readonly SeenEvent[]> {
  const { url, path, random, cuts = 0.7, deadlineMs, mayReset = false } = options;
  const events: SeenEvent[] = [];
  const givesUpAtMs = performance.now() + deadlineMs;
  while (performance.now() < givesUpAtMs) {
    const cutAfterBytes = random.next() < cuts ? random.int(0, 4_000) : Number.POSITIVE_INFINITY;
    const connection = new AbortController();
    const giveUp = setTimeout(() => connection.abort(), givesUpAtMs - performance.now());
    try {
      const lastId = events.at(-1)?.id;
      const response = await fetch(url() + path, {
        signal: connection.signal,
        ...(lastId !== undefined && { headers: { "Last-Event-ID": lastId } }),
      });
      if (response.status === 204) return events;
      if (response.status === 200) {
        if (await readEvents(response, events, { cutAfterBytes, mayReset })) return events;
      } else if (response.status !== 503)
        throw new Violation("loss", `${path} answered ${response.status} ${await response.text()}`);
    } catch (error) {
      if (error instanceof Violation) throw error;
      // The connection broke, or there was nobody: what clients are for.
    } finally {
      clearTimeout(giveUp);
      connection.abort();
    }
    await delay(RECONNECT_MS);
  }
  const tail = events.slice(-2).map((event) => JSON.stringify(event));
  throw new Violation("loss", `${path} has not ended after ${deadlineMs} ms: ${tail.join(" ")}`);
}

/** Adds the events that are whole. true when the last was the end. */
async function readEvents(
  response: Response,
  events: SeenEvent[],
  { cutAfterBytes, mayReset }: { readonly cutAfterBytes: number; readonly mayReset: boolean },
): Promise<boolean> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  let readBytes = 0;
  for await (const chunk of response.body ?? []) {
    readBytes += chunk.length;
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event === null) continue;
      if (event.name === "reset" && mayReset) events.length = 0;
      else events.push(event);
      if (event.name === "end") return true;
    }
    if (readBytes > cutAfterBytes) return false;
  }
  return false;
}

/** null for a comment and for a `retry`. */
function parseEvent(block: string): SeenEvent | null {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const data = fields.get("data");
  if (data === undefined) return null;
  return { id: fields.get("id") ?? "", name: fields.get("event") ?? "message", data };
}
