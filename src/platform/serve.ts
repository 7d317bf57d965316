import { setTimeout as delay } from "node:timers/promises";

/** An HTTP server that is listening. */
export interface HttpServer {
  /** Where it listens, e.g. `http://127.0.0.1:8000/`; the port is the real one where 0 was asked for. */
  readonly url: URL;
  /**
   * Stops listening. Requests that are being received or worked on are finished, for up to `graceMs`; answers that are
   * being sent get a moment to end, and then every connection is closed.
   */
  stop(graceMs: number): Promise<void>;
}

/**
 * A connection without a byte in either direction is closed after this; the most that Bun takes. Log streams send a
 * heartbeat more often than that.
 */
const IDLE_TIMEOUT_SEC = 255;

/** What answers that are under way get to end by themselves when the server stops. */
const LAST_WORDS_MS = 1_000;

/** The address cannot be listened on; the message is a sentence for the operator. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** Listens with `fetch` as the handler. Throws ListenError when the address is taken or not ours. */
export function serve(options: {
  readonly hostname: string;
  readonly port: number;
  readonly fetch: (request: Request) => Promise<Response>;
}): HttpServer {
  const unanswered = new Set<Promise<unknown>>();
  const server = listen({
    hostname: options.hostname,
    port: options.port,
    // With port reuse a second instance would start without an error and take a share of the requests.
    reusePort: false,
    idleTimeout: IDLE_TIMEOUT_SEC,
    // Uploads are counted where their error can be answered as a problem body; Bun's own 413 has none.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    // Bun's page for an error that the handler lets through would show our source to whoever asks.
    development: false,
    async fetch(request) {
      const answer = options.fetch(request);
      const settled = answer.catch(() => undefined);
      unanswered.add(settled);
      try {
        return await answer;
      } finally {
        unanswered.delete(settled);
      }
    },
  });
  return {
    url: server.url,
    async stop(graceMs) {
      const closed = server.stop();
      const isOver = new AbortController();
      const { signal } = isOver;
      const late = delay(graceMs, undefined, { signal }).catch(() => undefined);
      await Promise.race([Promise.all(unanswered), late]);
      isOver.abort();
      const cut = setTimeout(() => void server.stop(true), LAST_WORDS_MS);
      await closed;
      clearTimeout(cut);
    },
  };
}

function listen(options: Bun.Serve.Options<undefined> & { hostname: string; port: number }) {
  try {
    return Bun.serve(options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ListenError(
      `Cannot listen on ${options.hostname}:${options.port}: ${reason} Choose another HOST or PORT, or stop what listens there.`,
      { cause: error },
    );
  }
}
