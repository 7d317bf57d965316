import type { Bench } from "./bench.ts";
import { startDeployment, storesHere, withDeployments } from "./deployment.ts";
import type { HttpConnection } from "./http-connection.ts";
import { openConnections, submitRequest } from "./job-client.ts";
import { median, quantile } from "./measure.ts";
import type { Row } from "./table.ts";

/*
 * Requests that wait for their job's end (`Prefer: wait`), all at once: how long after its job's end, by the store's clock,
 * each is answered. Client and service are on one machine and have one clock. The jobs end one after the other, for the ends
 * of many at a time would be a measure of the sandbox.
 */

const ENTRY = "sleep.sh";
const SOURCE = 'sleep "$1"\n';
const WAIT_SEC = 120;
/** What it takes to start them all. */
const START_SEC = 4;
const BETWEEN_SEC = 0.05;

export async function measureWait(bench: Bench): Promise<readonly Row[]> {
  const count = bench.isQuick ? 5 : 200;
  const rows: Row[] = [];
  for (const store of storesHere) {
    bench.say(`${count} requests that wait, ${store}`);
    const env = { WORKER_CONCURRENCY: String(count) };
    const lagsMs = await withDeployments(
      [() => startDeployment(store, env)],
      async ([deployment]) => {
        if (deployment === undefined) return [];
        const { url } = deployment.service;
        const connections = await openConnections(url, count);
        const answers = connections.map((connection, index) =>
          answerLagMs(connection, { url, sleepSec: START_SEC + index * BETWEEN_SEC }),
        );
        const lags = await Promise.all(answers);
        for (const connection of connections) connection.close();
        return lags;
      },
    );
    rows.push({
      what: `from a job's end to the answer that waits for it, ${count} at once, ${store}`,
      unit: "ms",
      value: median(lagsMs),
      p99: quantile(lagsMs, 0.99),
      targets: [{ of: "p99", atMost: 20 }],
    });
  }
  return rows;
}

async function answerLagMs(
  connection: HttpConnection,
  { url, sleepSec }: { readonly url: string; readonly sleepSec: number },
): Promise<number> {
  const spec = { entry: ENTRY, args: [sleepSec.toFixed(3)], timeout_sec: WAIT_SEC };
  const request = submitRequest(url, { spec, files: { [ENTRY]: SOURCE } }, [
    `Prefer: wait=${WAIT_SEC}`,
  ]);
  const answer = await connection.send(request);
  const answeredAtMs = Date.now();
  if (answer.status !== 200)
    throw new Error(`The server answered ${answer.status}: ${answer.body.toString()}`);
  const job = JSON.parse(answer.body.toString()) as { readonly finished_at: string };
  return answeredAtMs - Date.parse(job.finished_at);
}
