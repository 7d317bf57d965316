/** One event of a job's log. */
export interface LogEvent {
  /** Where the log goes on from here; "" where the event has no place in it. */
  readonly id: string;
  /** `message` for output; else `attempt`, `gap`, `reset` or `end`. */
  readonly name: string;
  /** A line of output without its end, or JSON: of every event with `format: "json"`, and of all but output without. */
  readonly data: string;
}

export interface FollowOptions {
  /** Of a server that has keys. */
  readonly apiKey?: string;
  readonly stream?: "stdout" | "stderr" | "compiler" | "installer";
  /** json is lossless, and sends unfinished lines at once. */
  readonly format?: "plain" | "json";
  /** The last event that was had before: what comes is what comes after it. */
  readonly lastEventId?: string;
  readonly signal?: AbortSignal;
}

/** Where the server says nothing else (its `retry:`). */
const RETRY_MS = 1_500;
/** A server that cannot be reached for so long is given up. */
const PATIENCE_MS = 60_000;

/**
 * What a job has printed and prints, event by event, up to and with `end`. A connection that breaks is taken up again where
 * it broke: each event comes once, and none is missing. Throws where the server refuses (its answer is the message), cannot be
 * reached at first or for a minute later on, and when `signal` fires.
 */
export async function* followLog(
  url: string,
  jobId: string,
  options: FollowOptions = {},
): AsyncGenerator<LogEvent, void> {
  const position = { lastEventId: options.lastEventId ?? "", retryMs: RETRY_MS };
  const { signal } = options;
  let reachedAtMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      const response = await open(`${url}/jobs/${jobId}/logs/stream`, options, position);
      // Nothing comes after what was had before.
      if (response.status === 204) return;
      try {
        for await (const event of eventsOf(response, position)) {
          yield event;
          if (event.name === "end") return;
        }
      } finally {
        reachedAtMs = performance.now();
      }
    } catch (error) {
      const isLost = performance.now() - reachedAtMs > PATIENCE_MS;
      if (error instanceof Refusal || isLost || signal?.aborted === true) throw error;
    }
    await pause(position.retryMs, signal);
  }
}

/** Resolves after `ms`, and at once when the signal fires. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** The server has answered, and will not answer otherwise a moment later. */
class Refusal extends Error {
  override readonly name = "Refusal";
}

interface Position {
  lastEventId: string;
  retryMs: number;
}

async function open(
  url: string,
  { apiKey, stream, format, signal }: FollowOptions,
  { lastEventId }: Position,
): Promise<Response> {
  const query = new URLSearchParams({
    ...(stream !== undefined && { stream }),
    ...(format !== undefined && { format }),
  });
  const response = await fetch(`${url}?${query.toString()}`, {
    headers: {
      ...(lastEventId !== "" && { "Last-Event-ID": lastEventId }),
      ...(apiKey !== undefined && { Authorization: `Bearer ${apiKey}` }),
    },
    ...(signal !== undefined && { signal }),
  });
  if (response.ok) return response;
  const message = `${response.status}: ${await response.text()}`;
  // A server that is going or is too busy may be followed again soon.
  throw response.status === 503 ? new Error(message) : new Refusal(message);
}

/** The events of one connection (WHATWG HTML, "Server-sent events"). What is not whole when it breaks has not been. */
async function* eventsOf(response: Response, position: Position): AsyncGenerator<LogEvent> {
  let text = "";
  for await (const chunk of chunksOf(response)) {
    text += chunk;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = fieldsOf(block);
      position.retryMs = Number(fields.get("retry") ?? position.retryMs);
      const data = fields.get("data");
      if (data === undefined) continue;
      const id = fields.get("id") ?? "";
      position.lastEventId = id === "" ? position.lastEventId : id;
      yield { id, name: fields.get("event") ?? "message", data };
    }
  }
}

/** The text of a body as it comes; whoever stops reading ends the connection. Not every browser can iterate a stream. */
async function* chunksOf(response: Response): AsyncGenerator<string, void> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const chunk = await reader?.read();
      if (chunk?.value === undefined) return;
      yield decoder.decode(chunk.value, { stream: true });
    }
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

/** The server writes each field once and on one line, and a colon and a space after its name. */
function fieldsOf(block: string): ReadonlyMap<string, string> {
  return new Map(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 2)] as const;
    }),
  );
}
