import { setTimeout as delay } from "node:timers/promises";

import { createRandom, type Random } from "./random.ts";
import { Violation } from "./violation.ts";

/** An event of a stream, as a client that follows the standard sees it. */
export interface SeenEvent {
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

export interface FollowOptions {
  /** Base of the API, the same across its restarts. */
  readonly url: string;
  /** Path and query, e.g. `/jobs/1/logs/stream?format=json`. */
  readonly path: string;
  readonly random: Random;
  /** Of connections: the share that the client itself cuts somewhere. */
  readonly cuts?: number;
  /** Comes back when the server's `retry:` says, as an EventSource does; otherwise as soon as it can. */
  readonly obeysRetry?: boolean;
  /** Told of each connection that carries something; `silentMs`: since the one before it broke, null for the first. */
  readonly onConnected?: (silentMs: number | null) => void;
  /** Told of each connection that the server took leave of: with a `retry:` after the one that opens every stream. */
  readonly onLeave?: () => void;
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
  const { path, deadlineMs } = options;
  // Of its own: how often a client reconnects must not change what others draw.
  const random = createRandom(options.random.int(0, 0xffff_ffff));
  const seen: Seen = {
    events: [],
    retryMs: RECONNECT_MS,
    retries: 0,
    brokeAtMs: null,
    lostEpoch: null,
  };
  const givesUpAtMs = performance.now() + deadlineMs;
  while (performance.now() < givesUpAtMs) {
    const connection = new AbortController();
    const giveUp = setTimeout(() => connection.abort(), givesUpAtMs - performance.now());
    try {
      if (await readConnection({ ...options, random }, seen, connection.signal)) return seen.events;
    } catch (error) {
      if (error instanceof Violation) throw error;
      // The connection broke, or there was nobody: what clients are for.
    } finally {
      clearTimeout(giveUp);
      connection.abort();
    }
    seen.brokeAtMs ??= performance.now();
    await delay(options.obeysRetry === true ? seen.retryMs : RECONNECT_MS);
  }
  const tail = seen.events.slice(-2).map((event) => JSON.stringify(event));
  throw new Violation("loss", `${path} has not ended after ${deadlineMs} ms: ${tail.join(" ")}`);
}

/** What a client has from all its connections so far. */
interface Seen {
  readonly events: SeenEvent[];
  /** The last that the server has asked for. */
  retryMs: number;
  /** How often it has asked for that on this connection. */
  retries: number;
  /** When the last connection that carried something ended; null while one does, and before the first. */
  brokeAtMs: number | null;
  /** Of what was reset: the job may have lost some of its log, but still runs under the same claim. null after that. */
  lostEpoch: string | null;
}

function epochOf(event: SeenEvent | undefined): string | null {
  return event?.id.split("-")[0] ?? null;
}

/** One connection. true when the stream is over. */
async function readConnection(
  { url, path, random, cuts = 0.7, mayReset = false, onConnected, onLeave }: FollowOptions,
  seen: Seen,
  signal: AbortSignal,
): Promise<boolean> {
  const cutAfterBytes = random.next() < cuts ? random.int(0, 4_000) : Number.POSITIVE_INFINITY;
  const lastId = seen.events.at(-1)?.id;
  const response = await fetch(url + path, {
    signal,
    ...(lastId !== undefined && { headers: { "Last-Event-ID": lastId } }),
  });
  if (response.status === 204) return true;
  if (response.status === 503) return false;
  if (response.status !== 200)
    throw new Violation("loss", `${path} answered ${response.status} ${await response.text()}`);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  let readBytes = 0;
  seen.retries = 0;
  for await (const chunk of response.body ?? []) {
    if (readBytes === 0) onConnected?.(seen.brokeAtMs && performance.now() - seen.brokeAtMs);
    seen.brokeAtMs = null;
    readBytes += chunk.length;
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) if (takeBlock(block, seen, mayReset)) return true;
    if (readBytes > cutAfterBytes) return false;
  }
  if (seen.retries > 1) onLeave?.();
  return false;
}

/** Adds the event of a whole block; one with a comment or a `retry` alone has none. true when it was the end. */
function takeBlock(block: string, seen: Seen, mayReset: boolean): boolean {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const [retry, data] = [fields.get("retry"), fields.get("data")];
  if (retry !== undefined) {
    seen.retryMs = Number(retry);
    seen.retries += 1;
  }
  if (data === undefined) return false;
  const name = fields.get("event") ?? "message";
  if (name === "reset" && mayReset) {
    seen.lostEpoch = epochOf(seen.events.at(-1));
    seen.events.length = 0;
    return false;
  }
  const event = { id: fields.get("id") ?? "", name, data };
  if (seen.lostEpoch !== null && seen.lostEpoch !== epochOf(event))
    throw new Violation("duplicate", `the job was begun anew: ${event.id} after a reset`);
  seen.lostEpoch = null;
  seen.events.push(event);
  return name === "end";
}
