import { join } from "node:path";

import { ROOT } from "../test/support/service.ts";

/** The program, from the directory that holds src/. */
export const BARE_SERVER = "bench/programs/bare-server.ts";

/** The least that Bun can do as a server, as a process. */
export interface BareServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startBareServer(): Promise<BareServer> {
  const child = Bun.spawn([process.execPath, "run", join(ROOT, BARE_SERVER)], {
    env: { PATH: process.env["PATH"] ?? "", PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  if (value === undefined) throw new Error(`${BARE_SERVER} has not started`);
  return {
    url: new TextDecoder().decode(value).trim(),
    pid: child.pid,
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
