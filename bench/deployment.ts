import {
  hasRedisServer,
  type RedisServer,
  startRedisServer,
} from "../test/support/redis-server.ts";
import { removeDataDir, type RunningService, startService } from "../test/support/service.ts";

/*
 * The service as it is deployed: processes of its own, with their defaults, and the bench is nothing but a client.
 */

export type StoreKind = "sqlite" | "redis";

/** The stores that this machine has; Redis is left out, with a word on stderr, where there is no redis-server. */
export const storesHere: readonly StoreKind[] = hasRedisServer() ? ["sqlite", "redis"] : ["sqlite"];

export interface Deployment {
  readonly store: StoreKind;
  readonly service: RunningService;
  /** null where the store is a part of the service. */
  readonly redis: RedisServer | null;
  /** Ends it, handing back at once what runs, and removes its data. */
  stop(): Promise<void>;
}

export type Env = Readonly<Record<string, string>>;

/** An API process that runs its jobs itself, with the embedded store or with a Redis that writes to its disk every second. */
export async function startDeployment(store: StoreKind, given: Env = {}): Promise<Deployment> {
  const redis = store === "redis" ? await startRedis() : null;
  const env = {
    DRAIN_SEC: "0",
    ...given,
    ...(redis === null ? {} : { REDIS_URL: redis.url }),
  };
  const service = await startService({ env });
  await canRunJobs(service.url);
  return {
    store,
    service,
    redis,
    async stop() {
      await service.stop();
      await redis?.stop();
      await removeDataDir(service.dataDir);
    },
  };
}

export async function startRedis(): Promise<RedisServer> {
  return await startRedisServer({ appendFsync: "everysec" });
}

/** Starts several, hands them on, and stops them however that ends. */
export async function withDeployments<T>(
  starts: readonly (() => Promise<Deployment>)[],
  use: (deployments: readonly Deployment[]) => Promise<T>,
): Promise<T> {
  const deployments: Deployment[] = [];
  try {
    for (const start of starts) deployments.push(await start());
    return await use(deployments);
  } finally {
    await Promise.all(deployments.map((each) => each.stop()));
  }
}

/** A server that has just begun to listen tries its sandbox and its runtimes first. */
async function canRunJobs(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/runtimes`);
    const { items } = (await answer.json()) as { readonly items: readonly object[] };
    if (items.length > 0) return;
    await Bun.sleep(20);
  }
}
