import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";

/** How a connection fails: it dies, or stays open and carries nothing more, as when a network is gone without a word. */
type Failure = "cut" | "silence";

/** A wire between a client and a server on this machine that fails on demand. */
export interface TcpProxy {
  readonly port: number;
  /**
   * The next chunk that the server sends is lost, and its connection fails; with `to`, the first chunk after the client
   * has sent that text that has at least so many bytes. New connections work.
   */
  loseNextReply(how: Failure, to?: string, minBytes?: number): void;
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
  readonly how: Failure;
  readonly to: string | undefined;
  readonly minBytes: number;
}

/** A request is at most so much longer than the text that it is known by, or it is not found where two chunks meet. */
const OVERLAP = 128;

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const wires = new Set<Wire>();
  let isBlackHole = false;
  let plan: Plan | null = null;
  let lost = 0;
  let lostOne = Promise.withResolvers<void>();

  const server = createServer((client) => {
    const wire = openWire(client, targetPort, {
      isDead: () => isBlackHole,
      failureFor: (isExpected) => {
        if (plan === null || !isExpected(plan)) return null;
        const { how } = plan;
        plan = null;
        lost += 1;
        lostOne.resolve();
        lostOne = Promise.withResolvers();
        return how;
      },
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
      plan = { how, to, minBytes };
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
    readonly failureFor: (isExpected: (plan: Plan) => boolean) => Failure | null;
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
    sent = sent.slice(-OVERLAP) + chunk.toString("latin1");
    upstream.write(chunk);
  });
  upstream.on("data", (chunk: Buffer) => {
    if (isGone()) return;
    const failure = proxy.failureFor(
      ({ to, minBytes }) => (to === undefined || sent.includes(to)) && chunk.length >= minBytes,
    );
    sent = "";
    if (failure === null) client.write(chunk);
    else if (failure === "cut") end();
    else isSilent = hasLost = true;
  });
  return { hasLost: () => hasLost, end };
}
