import { randomUUID } from "node:crypto";
import { join } from "node:path";

import type { NewJob } from "../src/jobs/job.ts";
import { MIB } from "../src/jobs/limits.ts";
import { openRedisStore } from "../src/store/redis/open.ts";
import { openSqliteStore } from "../src/store/sqlite/open.ts";
import type { Store } from "../src/store/store.ts";
import { freshDataDir, removeDataDir } from "../test/support/service.ts";
import type { Bench } from "./bench.ts";
import { startRedis, type StoreKind, storesHere } from "./deployment.ts";
import { measure, quantile, type Subject, timed } from "./measure.ts";
import { openStoreYardstick } from "./store-yardstick.ts";
import type { Row } from "./table.ts";

/*
 * What a claim costs with few jobs queued, and with many: straight at the store's driver, without a service. Two stores of
 * one kind, claimed from in turns; each claim takes a job out, and another one is put in its place, off the clock.
 */

const FEW = 100;
const MANY = 100_000;
/** Submits under way at a time while a queue is filled. */
const FILLERS = 500;

export async function measureClaim(bench: Bench): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const kind of storesHere) rows.push(...(await measureStore(bench, kind)));
  return rows;
}

async function measureStore(bench: Bench, kind: StoreKind): Promise<readonly Row[]> {
  const many = bench.isQuick ? 10 * FEW : MANY;
  const redis = kind === "redis" ? await startRedis() : null;
  const dataDir = await freshDataDir();
  const yardstick = openStoreYardstick(kind, { clients: 1, redisUrl: redis?.url ?? null });
  const open = async (name: string): Promise<Store> =>
    redis === null
      ? await openSqliteStore({ path: join(dataDir, `${name}.sqlite`) })
      : await openRedisStore({ url: redis.url, prefix: name });
  const stores = { few: await open("few"), many: await open("many") };
  try {
    bench.say(`claim: ${kind}, ${many} jobs are queued`);
    await fill(stores.few, FEW);
    await fill(stores.many, many);
    const results = await measure({ rounds: bench.isQuick ? 10 : 300 }, [
      timed("bare", () => yardstick.write(0)),
      claimOf("few", stores.few),
      claimOf("many", stores.many),
    ]);
    const p50 = (name: string) => quantile(results[name] ?? [], 0.5);
    const row = (queued: number, name: string) => ({
      what: `claim with ${queued} jobs queued, ${kind}`,
      unit: "ms",
      value: p50(name),
      p99: quantile(results[name] ?? [], 0.99),
    });
    return [
      { ...row(FEW, "few"), yardstick: { name: yardstick.name, value: p50("bare") } },
      {
        ...row(many, "many"),
        yardstick: { name: `with ${FEW}`, value: p50("few") },
        targets: [{ of: "ratio", atMost: 1.3 }],
      },
    ];
  } finally {
    await Promise.all([stores.few.close(), stores.many.close()]);
    yardstick.close();
    await redis?.stop();
    await removeDataDir(dataDir);
  }
}

async function fill(store: Store, count: number): Promise<void> {
  let left = count;
  const filler = async () => {
    while (left > 0) {
      left -= 1;
      await store.submit(newJob());
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, filler));
}

function claimOf(name: string, store: Store): Subject {
  return async () => {
    const startMs = performance.now();
    const job = await store.claim({ owner: "bench", slot: 0, token: randomUUID() });
    const elapsedMs = performance.now() - startMs;
    if (job === null) throw new Error("The queue is empty");
    await store.submit(newJob());
    return { [name]: elapsedMs };
  };
}

function newJob(): NewJob {
  return {
    id: randomUUID(),
    keyId: null,
    spec: {
      entry: "main.py",
      args: [],
      timeoutMs: 60_000,
      runtime: "python3",
      netPolicy: "none",
      env: {},
      stdin: "",
      install: false,
      limits: {
        memoryBytes: 512 * MIB,
        cpuSec: 60,
        processes: 64,
        diskBytes: 256 * MIB,
        outputBytes: 16 * MIB,
      },
      priority: "normal",
      labels: {},
    },
    files: [],
    runtime: { name: "python3.11", version: "3.11.2" },
    warnings: [],
  };
}
