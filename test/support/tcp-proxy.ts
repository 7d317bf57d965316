import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";

/** How a connection fails: it dies, or stays open and carries nothing more, as when a network is gone without a word. */
type Failure = "cut" | "silence";

/** What becomes of a reply: it is lost and its connection fails, or it comes late, and what follows it later still. */
type Fate = Failure | { readonly until: Promise<void> };

/** A wire between a client and a server on this machine that fails on demand. */
export interface TcpProxy {
  readonly port: number;
  /**
   * The next chunk that the server sends is lost, and its connection fails; with `to`, the first chunk after the client
   * has sent that text that has at least so many bytes. New connections work.
   */
  loseNextReply(how: Failure, to?: string, minBytes?: number): void;
  /** As loseNextReply, but the reply comes late: when it is released. */
  holdNextReply(to: string, minBytes?: number): { release(): void };
  /** How many replies were lost so far. */
  readonly lostReplies: () => number;
  /** Resolves as soon as one more reply is lost. */
  replyLost(): Promise<void>;
  /** Nothing is carried any more, by connections that there are and by new ones, until restore(). */
  blackHole(): void;
  /** New connections work again; those that lost something are closed. */
  restore(): void;
  stop(): Promise<void>;
}

interface Plan {
  readonly fate: Fate;
  readonly to: string | undefined;
  readonly minBytes: number;
  readonly onLost: () => void;
}

/** What was sent and is not answered yet is looked through up to here: more than any few requests at a time. */
const MAX_SENT = 64 * 1024;

/** Starts a proxy on a free port, of which each connection is carried on to `targetPort` of this machine. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const wires = new Set<Wire>();
  let isBlackHole = false;
  let plan: Plan | null = null;
  let lost = 0;
  let lostOne = Promise.withResolvers<void>();

  const server = createServer((client) => {
    const wire = openWire(client, targetPort, {
      isDead: () => isBlackHole,
      planFor: (isExpected) => {
        if (plan === null || !isExpected(plan)) return null;
        const made = plan;
        plan = null;
        return made;
      },
      isAwaited: (sent) => plan?.to !== undefined && sent.includes(plan.to),
      onClosed: () => wires.delete(wire),
    });
    wires.add(wire);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  return {
    port: address.port,
    loseNextReply: (how, to, minBytes = 0) => {
      const onLost = () => {
        lost += 1;
        lostOne.resolve();
        lostOne = Promise.withResolvers();
      };
      plan = { fate: how, to, minBytes, onLost };
    },
    holdNextReply: (to, minBytes = 0) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      plan = { fate: { until: promise }, to, minBytes, onLost: () => undefined };
      return { release: resolve };
    },
    lostReplies: () => lost,
    replyLost: () => lostOne.promise,
    blackHole: () => {
      isBlackHole = true;
    },
    restore: () => {
      isBlackHole = false;
      for (const wire of wires) if (wire.hasLost()) wire.end();
    },
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      for (const wire of wires) wire.end();
      await closed;
    },
  };
}

interface Wire {
  hasLost(): boolean;
  end(): void;
}

/** One connection through the proxy. */
function openWire(
  client: Socket,
  targetPort: number,
  proxy: {
    readonly isDead: () => boolean;
    readonly planFor: (isExpected: (plan: Plan) => boolean) => Plan | null;
    /** Whether a plan is for the reply to something in `sent`. */
    readonly isAwaited: (sent: string) => boolean;
    readonly onClosed: () => void;
  },
): Wire {
  const upstream = createConnection(targetPort, "127.0.0.1");
  let isSilent = false;
  let hasLost = false;
  let sent = "";
  const end = (): void => {
    client.destroy();
    upstream.destroy();
  };
  for (const socket of [client, upstream]) {
    socket.on("error", end);
    socket.on("close", () => {
      proxy.onClosed();
      end();
    });
  }
  const isGone = () => {
    if (!isSilent && !proxy.isDead()) return false;
    hasLost = true;
    return true;
  };
  client.on("data", (chunk: Buffer) => {
    if (isGone()) return;
    sent = (sent + chunk.toString("latin1")).slice(-MAX_SENT);
    upstream.write(chunk);
  });
  upstream.on("data", (chunk: Buffer) => {
    if (isGone()) return;
    const plan = proxy.planFor(
      ({ to, minBytes }) => (to === undefined || sent.includes(to)) && chunk.length >= minBytes,
    );
    // What is answered first may be something else that was sent at the same time, such as a beat.
    if (plan !== null || !proxy.isAwaited(sent)) sent = "";
    if (plan === null) client.write(chunk);
    else carryOut(plan, chunk);
  });
  const carryLate = async (until: Promise<void>, chunk: Buffer): Promise<void> => {
    upstream.pause();
    await until;
    client.write(chunk);
    upstream.resume();
  };
  const carryOut = ({ fate, onLost }: Plan, chunk: Buffer): void => {
    if (typeof fate === "object") {
      void carryLate(fate.until, chunk);
      return;
    }
    if (fate === "cut") end();
    else isSilent = hasLost = true;
    onLost();
  };
  return { hasLost: () => hasLost, end };
}
