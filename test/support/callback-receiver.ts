import { createHmac } from "node:crypto";

/** Of the shape that CALLBACK_SECRET has; for tests alone. */
export const CALLBACK_KEY = Buffer.alloc(32, 7);
export const CALLBACK_SECRET = `whsec_${CALLBACK_KEY.toString("base64")}`;

/** One callback as it came in. */
interface ReceivedCallback {
  readonly id: string;
  readonly headers: Headers;
  readonly job: { readonly id: string; readonly status: string };
  /** Whether its signature is that of its id, time and body by CALLBACK_SECRET. */
  readonly isSigned: boolean;
  /** The same by another secret, as Standard Webhooks writes it. */
  isSignedWith(secret: string): boolean;
}

/** A server on this machine that is told of jobs. */
export interface CallbackReceiver {
  readonly url: string;
  readonly received: readonly ReceivedCallback[];
  /** Resolves to the callback that comes as number `count`, from 1 on. */
  nth(count: number): Promise<ReceivedCallback>;
  stop(): Promise<void>;
}

/** Answers each with what `answer` gives for its number, from 1 on; with 204 where that is absent. */
export function startReceiver(
  answer: (count: number) => Response | Promise<Response> = () =>
    new Response(null, { status: 204 }),
): CallbackReceiver {
  const received: ReceivedCallback[] = [];
  const waiting: (() => void)[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const body = await request.text();
      const { headers } = request;
      const id = headers.get("webhook-id") ?? "";
      const content = `${id}.${headers.get("webhook-timestamp")}.${body}`;
      const isSignedWith = (secret: string) => {
        const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
        const signature = createHmac("sha256", key).update(content).digest("base64");
        return headers.get("webhook-signature") === `v1,${signature}`;
      };
      const isSigned = isSignedWith(CALLBACK_SECRET);
      const job = JSON.parse(body) as ReceivedCallback["job"];
      received.push({ id, headers, job, isSigned, isSignedWith });
      for (const wake of waiting.splice(0)) wake();
      return answer(received.length);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/ended`,
    received,
    async nth(count) {
      for (;;) {
        const callback = received[count - 1];
        if (callback !== undefined) return callback;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    stop: () => server.stop(true),
  };
}
