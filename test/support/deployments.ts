import { hasRedisServer, startRedisServer } from "./redis-server.ts";
import {
  freshDataDir,
  removeDataDir,
  type RunningService,
  startService,
  startWorker,
} from "./service.ts";

/** The service as somebody deploys it: an API process, its store, and what runs its jobs. */
export interface Deployment {
  readonly api: RunningService;
  /** Separate worker processes; none where the API runs jobs itself. */
  readonly workers: readonly Omit<RunningService, "url">[];
  /** Ends every process of it and removes its data. */
  stop(): Promise<void>;
}

interface DeploymentKind {
  readonly name: string;
  readonly start: (env?: Readonly<Record<string, string>>) => Promise<Deployment>;
}

async function sqlite(env: Readonly<Record<string, string>> = {}): Promise<Deployment> {
  const api = await startService({ env });
  return {
    api,
    workers: [],
    async stop() {
      await api.stop();
      await removeDataDir(api.dataDir);
    },
  };
}

async function redis(
  workerCount: number,
  given: Readonly<Record<string, string>> = {},
): Promise<Deployment> {
  const server = await startRedisServer();
  const dataDir = await freshDataDir();
  const env = { ...given, REDIS_URL: server.url };
  const inline = workerCount === 0;
  const workers = await Promise.all(
    Array.from({ length: workerCount }, () => startWorker({ env, dataDir })),
  );
  const api = await startService({
    env: { ...env, ...(inline ? {} : { INLINE_WORKER: "0" }) },
    dataDir,
  });
  return {
    api,
    workers,
    async stop() {
      await Promise.all([api, ...workers].map((process) => process.stop()));
      await server.stop();
      await removeDataDir(dataDir);
    },
  };
}

/** The ways to deploy that the README names. */
export const DEPLOYMENTS: readonly DeploymentKind[] = [
  { name: "SQLite", start: sqlite },
  ...(hasRedisServer()
    ? [
        {
          name: "Redis with an inline worker",
          start: (env?: Readonly<Record<string, string>>) => redis(0, env),
        },
        {
          name: "Redis with two workers",
          start: (env?: Readonly<Record<string, string>>) => redis(2, env),
        },
      ]
    : []),
];
