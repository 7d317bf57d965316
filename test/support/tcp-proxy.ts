import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";

/** A wire between a client and a server on this machine that fails on demand. */
export interface TcpProxy {
  readonly port: number;
  /**
   * The next chunk that the server sends is lost: with `cut` the connection dies with it; with `silence` it stays open
   * and carries nothing more in either direction, as when a network is gone without a word. New connections work.
   */
  loseNextReply(how: "cut" | "silence"): void;
  /** From now on nothing gets through, on connections that are there or new ones; once it ends, new ones work. */
  blackHole(isOn: boolean): void;
  /** How many replies were lost so far. */
  readonly lostReplies: () => number;
  stop(): Promise<void>;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let plan: "cut" | "silence" | null = null;
  let lost = 0;
  let isBlackHole = false;
  const silences = new Set<() => void>();

  const server = createServer((client) => {
    const upstream = createConnection(targetPort, "127.0.0.1");
    let silent = isBlackHole;
    const silence = (): void => {
      silent = true;
    };
    silences.add(silence);
    client.on("close", () => silences.delete(silence));
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on("data", (chunk) => {
      if (!silent) upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (silent) return;
      if (plan === null) {
        client.write(chunk);
        return;
      }
      lost += 1;
      if (plan === "cut") end();
      else silent = true;
      plan = null;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  return {
    port: address.port,
    loseNextReply: (how) => {
      plan = how;
    },
    blackHole: (isOn) => {
      isBlackHole = isOn;
      for (const silence of silences) silence();
    },
    lostReplies: () => lost,
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
