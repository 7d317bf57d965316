import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";

import type { Baits } from "../programs/hostile-program.ts";

/** Where every user of the host can read, and where a service in a container looks as well. */
const PUBLIC_DIRECTORY = "/var/tmp";

interface OpenBaits extends Baits {
  close(): Promise<void>;
}

/** Lays out what hostile programs are after: a secret file, and sockets of every kind on this host that note each visit. */
export async function openBaits(): Promise<OpenBaits> {
  const secret = `secret-${crypto.randomUUID()}`;
  const visits: string[] = [];
  const directory = mkdtempSync(join(PUBLIC_DIRECTORY, "bait-"));
  chmodSync(directory, 0o755);
  const file = join(directory, "file");
  writeFileSync(file, `${secret}\n`, { mode: 0o644 });
  const socket = join(directory, "socket");
  const abstract = `bait-${crypto.randomUUID()}`;
  const listen = async (name: string, ...where: Parameters<Server["listen"]>) => {
    const server = createServer((connection) => {
      visits.push(name);
      connection.destroy();
    }).listen(...where);
    await once(server, "listening");
    return server;
  };
  const tcp = await listen("tcp", 0);
  const servers = [tcp, await listen("file", socket), await listen("abstract", `\0${abstract}`)];
  chmodSync(socket, 0o777);
  const address = tcp.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const udp = createSocket("udp4", () => visits.push("udp")).bind(port);
  await once(udp, "listening");
  return {
    secret,
    env: {
      BAIT_FILE: file,
      BAIT_PORT: String(port),
      BAIT_SOCKET: socket,
      BAIT_ABSTRACT: abstract,
      BAIT_ADDRESSES: hostAddresses().join(" "),
    },
    visits: () => visits,
    async close() {
      udp.close();
      for (const server of servers) server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The addresses that other machines know this one by; link-local ones need a scope to be connected to. */
function hostAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"))
    .map(({ address }) => address);
}
