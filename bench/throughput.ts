import { join } from "node:path";

import { bareBubblewrap } from "./bare.ts";
import type { Bench } from "./bench.ts";
import { calm } from "./calm.ts";
import { type Deployment, startDeployment, storesHere, withDeployments } from "./deployment.ts";
import { HELLO } from "./hello.ts";
import { openConnections, runJob, submitRequest } from "./job-client.ts";
import { closedLoop, type LoopResult, perSecond, quantile, sumOf } from "./measure.ts";
import { addCpu, type CpuTime, cpuBelow, cpuBetween, cpuOf, NO_CPU } from "./process-use.ts";
import type { Row } from "./table.ts";

/*
 * How many small Python jobs a second: each client sends its next one as soon as it has the `end` of the one before. The
 * yardstick does the same with bubblewrap and Python alone, in turns of seconds. And where the CPU time goes, at the
 * concurrency that the targets are about.
 *
 * A turn begins when every service is calm, so that none takes time from the others. It then has its sandboxes ahead, at
 * most as many as jobs run at once, which is what the first jobs of a busy time find: they are in the rate. What it costs
 * to start as many again is not, since that is after the turn, but it is in the CPU time.
 */

const CLIENTS = [1, 8, 32] as const;
/** The one with targets, and whose CPU time is told; the services run as many jobs at once, as the yardstick does. */
const AIM = 8;
const ENTRY = "hello.py";
const SOURCE = `print("${HELLO}")\n`;

export async function measureThroughput(bench: Bench): Promise<readonly Row[]> {
  const { binary, mounts } = bench.runtimes.resolve("python3", ENTRY).runtime;
  const path = join(bench.folderOf({ [ENTRY]: SOURCE }), ENTRY);
  const bare = bareBubblewrap(bench.root, { binary, mounts, path, expected: `${HELLO}\n` });
  return await withDeployments(
    storesHere.map((store) => () => startDeployment(store, { WORKER_CONCURRENCY: String(AIM) })),
    async (deployments) => {
      const rows: Row[] = [];
      for (const clients of CLIENTS) {
        bench.say(`throughput: clients: ${clients}`);
        rows.push(...(await measureAt(bench, clients, { bare, deployments })));
      }
      return rows;
    },
  );
}

/** One turn of a loop, and the CPU time that was used for it. */
interface Turn {
  readonly loop: LoopResult;
  readonly cpu: JobCpu;
}

/** Who used it. */
interface JobCpu {
  readonly service: CpuTime;
  readonly redis: CpuTime;
  /** Of the programs, and of all that makes their sandboxes, those for later jobs among them. */
  readonly guests: CpuTime;
  readonly client: CpuTime;
}

async function measureAt(
  bench: Bench,
  clients: number,
  {
    bare,
    deployments,
  }: { readonly bare: () => Promise<void>; readonly deployments: readonly Deployment[] },
): Promise<readonly Row[]> {
  const pace = { clients, durationMs: bench.isQuick ? 200 : 2_000 };
  const loops = await Promise.all(
    deployments.map(async ({ service }) => {
      const connections = await openConnections(service.url, clients);
      const request = submitRequest(service.url, {
        spec: { entry: ENTRY },
        files: { [ENTRY]: SOURCE },
      });
      return {
        run: async (client: number) => {
          const connection = connections[client];
          if (connection !== undefined) await runJob(connection, request, HELLO);
        },
        close: () => connections.forEach((connection) => connection.close()),
      };
    }),
  );
  const bareTurns: Turn[] = [];
  const jobTurns: Turn[][] = deployments.map(() => []);
  // The first turn warms everything up, and is not counted.
  const turns = bench.isQuick ? 1 : 3;
  for (let turn = -1; turn < turns; turn += 1) {
    const isCounted = turn >= 0;
    const bareTurn = await takeTurn(null, () => closedLoop(pace, bare));
    if (isCounted) bareTurns.push(bareTurn);
    for (const [index, { run }] of loops.entries()) {
      const jobTurn = await takeTurn(deployments[index] ?? null, () => closedLoop(pace, run));
      if (isCounted) jobTurns[index]?.push(jobTurn);
    }
  }
  for (const { close } of loops) close();
  return deployments.flatMap(({ store }, index) =>
    rowsOf(jobTurns[index] ?? [], bareTurns, { store, clients }),
  );
}

/** Ends when the service is calm again, so that what it does after its last job is its own and not the next one's. */
async function takeTurn(
  deployment: Deployment | null,
  run: () => Promise<LoopResult>,
): Promise<Turn> {
  const read = () => ({
    service: deployment === null ? NO_CPU : cpuOf(deployment.service.pid),
    redis: deployment?.redis == null ? NO_CPU : cpuOf(deployment.redis.pid()),
    // Bare programs are the bench's own children, as the services are: those are calm meanwhile.
    guests: cpuBelow(deployment === null ? process.pid : deployment.service.pid),
  });
  const before = read();
  const clientBefore = cpuOf(process.pid);
  const loop = await run();
  // Before the looks at whether it is calm, which are no part of a client.
  const client = cpuBetween(clientBefore, cpuOf(process.pid));
  if (deployment !== null) await calm(deployment.service.pid);
  const after = read();
  return {
    loop,
    cpu: {
      service: cpuBetween(before.service, after.service),
      redis: cpuBetween(before.redis, after.redis),
      guests: cpuBetween(before.guests, after.guests),
      client,
    },
  };
}

function rowsOf(
  turns: readonly Turn[],
  bareTurns: readonly Turn[],
  { store, clients }: { readonly store: string; readonly clients: number },
): readonly Row[] {
  const loop = sumOf(turns.map((turn) => turn.loop));
  const bareLoop = sumOf(bareTurns.map((turn) => turn.loop));
  const isAim = clients === AIM;
  const noun = clients === 1 ? "client" : "clients";
  const name = "bare bwrap + python";
  const rows: Row[] = [
    {
      what: `jobs, ${clients} ${noun}, ${store}`,
      unit: "jobs/s",
      value: perSecond(loop),
      yardstick: { name, value: perSecond(bareLoop) },
      ...(isAim ? { targets: [{ of: "ratio", atLeast: 0.7 }] } : {}),
    },
    {
      what: `one of them, POST to \`end\`, ${clients} ${noun}, ${store}`,
      unit: "ms",
      value: quantile(loop.timesMs, 0.5),
      p99: quantile(loop.timesMs, 0.99),
      yardstick: { name, value: quantile(bareLoop.timesMs, 0.5) },
      ...(isAim ? { targets: [{ of: "spread", atMost: 4 }] } : {}),
    },
  ];
  return isAim ? [...rows, ...cpuRows(turns, bareTurns, store)] : rows;
}

function cpuRows(
  turns: readonly Turn[],
  bareTurns: readonly Turn[],
  store: string,
): readonly Row[] {
  const perRun = (of: readonly Turn[], user: keyof JobCpu): CpuTime => {
    const { count } = sumOf(of.map(({ loop }) => loop));
    const { userMs, systemMs } = of.map(({ cpu }) => cpu[user]).reduce(addCpu, NO_CPU);
    return { userMs: userMs / count, systemMs: systemMs / count };
  };
  const row = (what: string, value: number): Row => ({
    what: `CPU per job, ${AIM} clients, ${store}: ${what}`,
    unit: "ms",
    value,
  });
  const service = perRun(turns, "service");
  const guests = perRun(turns, "guests");
  const redis = perRun(turns, "redis");
  const bare = perRun(bareTurns, "guests");
  const total = (times: readonly CpuTime[]) => {
    const { userMs, systemMs } = times.reduce(addCpu, NO_CPU);
    return userMs + systemMs;
  };
  return [
    {
      ...row("all but the client", total([service, guests, redis])),
      yardstick: { name: "bare bwrap + python", value: total([bare]) },
    },
    row("service, user", service.userMs),
    row("service, system", service.systemMs),
    {
      ...row("programs and their sandboxes, user", guests.userMs),
      yardstick: { name: "bare bwrap + python", value: bare.userMs },
    },
    {
      ...row("programs and their sandboxes, system", guests.systemMs),
      yardstick: { name: "bare bwrap + python", value: bare.systemMs },
    },
    ...(store === "redis" ? [row("Redis", total([redis]))] : []),
    row("the client", total([perRun(turns, "client")])),
  ];
}
