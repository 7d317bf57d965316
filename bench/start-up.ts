import { join } from "node:path";

import { freePort } from "../test/support/redis-server.ts";
import { freshDataDir, removeDataDir, ROOT } from "../test/support/service.ts";
import type { Bench } from "./bench.ts";
import { BARE_SERVER } from "./bare-server.ts";
import { startRedis, storesHere } from "./deployment.ts";
import { HttpConnection } from "./http-connection.ts";
import { measure, quantile, type Subject } from "./measure.ts";
import type { Row } from "./table.ts";

/*
 * How long a process takes from its spawn to the first 200 on /livez, in turns with the least server that Bun can be. Its
 * data directory is fresh each time; Redis runs already.
 */

/** Between two tries to connect. */
const POLL_MS = 2;
/** A process that does not answer by then never will. */
const PATIENCE_MS = 30_000;

export async function measureStartUp(bench: Bench): Promise<readonly Row[]> {
  bench.say("start-up");
  const redis = storesHere.includes("redis") ? await startRedis() : null;
  try {
    const results = await measure({ rounds: bench.isQuick ? 1 : 12, warmUpRounds: 1 }, [
      startOf("bare", BARE_SERVER, {}),
      ...storesHere.map((store) =>
        startOf(
          store,
          "src/main.ts",
          store === "redis" && redis !== null ? { REDIS_URL: redis.url } : {},
        ),
      ),
    ]);
    const name = "bare Bun.serve";
    const yardstick = { name, value: quantile(results["bare"] ?? [], 0.5) };
    return storesHere.map((store) => ({
      what: `start to the first 200 on /livez, ${store}`,
      unit: "ms",
      value: quantile(results[store] ?? [], 0.5),
      p99: quantile(results[store] ?? [], 0.99),
      yardstick,
      targets: [{ of: "value", atMost: 350 }],
    }));
  } finally {
    await redis?.stop();
  }
}

function startOf(name: string, entry: string, env: Readonly<Record<string, string>>): Subject {
  return async () => {
    const dataDir = await freshDataDir();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const startMs = performance.now();
    const child = Bun.spawn([process.execPath, "run", join(ROOT, entry)], {
      cwd: ROOT,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: process.env["HOME"] ?? "",
        PORT: String(port),
        JOB_DATA_DIR: dataDir,
        LOG_LEVEL: "error",
        ...env,
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    try {
      await isAlive(url);
      return { [name]: performance.now() - startMs };
    } finally {
      child.kill("SIGTERM");
      await child.exited;
      await removeDataDir(dataDir);
    }
  };
}

async function isAlive(url: string): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (performance.now() < deadlineMs) {
    const connection = await HttpConnection.open(url).catch(() => null);
    if (connection !== null) {
      const { status } = await connection.get("/livez");
      connection.close();
      if (status === 200) return;
    }
    await Bun.sleep(POLL_MS);
  }
  throw new Error(`${url} does not answer`);
}
