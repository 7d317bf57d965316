import type { Bench } from "./bench.ts";
import { type Deployment, startDeployment, storesHere, withDeployments } from "./deployment.ts";
import { HELLO } from "./hello.ts";
import { openConnections, submitJob, submitRequest } from "./job-client.ts";
import { closedLoop, type LoopResult, perSecond, quantile, sumOf } from "./measure.ts";
import { openStoreYardstick } from "./store-yardstick.ts";
import type { Row } from "./table.ts";

/*
 * How many jobs a second a service takes: eight clients, each of which posts its next job with the answer to the one before.
 * A program that sleeps has the only slot, so that nothing else runs meanwhile; in turns with the least that the store must
 * do, by as many clients.
 */

const CLIENTS = 8;
const SLEEP = {
  spec: { entry: "sleep.py", timeout_sec: 900 },
  files: { "sleep.py": "import time\ntime.sleep(900)\n" },
};
const JOB = { spec: { entry: "hello.py" }, files: { "hello.py": `print("${HELLO}")\n` } };

export async function measureSubmit(bench: Bench): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const store of storesHere) {
    bench.say(`submit: ${store}`);
    const start = () => startDeployment(store, { WORKER_CONCURRENCY: "1", MAX_QUEUED: "0" });
    rows.push(
      ...(await withDeployments([start], async ([deployment]) =>
        deployment === undefined ? [] : await measureDeployment(bench, deployment),
      )),
    );
  }
  return rows;
}

async function measureDeployment(
  bench: Bench,
  { store, service: { url }, redis }: Deployment,
): Promise<readonly Row[]> {
  const yardstick = openStoreYardstick(store, { clients: CLIENTS, redisUrl: redis?.url ?? null });
  const connections = await openConnections(url, CLIENTS);
  const [first] = connections;
  if (first === undefined) throw new Error("There is no client");
  await submitJob(first, submitRequest(url, SLEEP));
  const request = submitRequest(url, JOB);
  const pace = { clients: CLIENTS, durationMs: bench.isQuick ? 100 : 2_000 };
  const bare: LoopResult[] = [];
  const submits: LoopResult[] = [];
  // The first turn warms everything up, and is not counted.
  for (let turn = -1; turn < (bench.isQuick ? 1 : 2); turn += 1) {
    const bareLoop = await closedLoop(pace, (client) => yardstick.write(client));
    const submitLoop = await closedLoop(pace, async (client) => {
      const connection = connections[client];
      if (connection !== undefined) await submitJob(connection, request);
    });
    if (turn < 0) continue;
    bare.push(bareLoop);
    submits.push(submitLoop);
  }
  for (const connection of connections) connection.close();
  yardstick.close();
  const [bareLoop, loop] = [sumOf(bare), sumOf(submits)];
  return [
    {
      what: `submits, ${CLIENTS} clients, ${store}`,
      unit: "jobs/s",
      value: perSecond(loop),
      yardstick: { name: yardstick.name, value: perSecond(bareLoop) },
    },
    {
      what: `one of them, POST to 202, ${store}`,
      unit: "ms",
      value: quantile(loop.timesMs, 0.5),
      p99: quantile(loop.timesMs, 0.99),
      yardstick: { name: yardstick.name, value: quantile(bareLoop.timesMs, 0.5) },
    },
  ];
}
