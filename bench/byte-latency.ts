import type { Bench } from "./bench.ts";
import { monotonicMs } from "./clock.ts";
import { type Deployment, startDeployment, storesHere, withDeployments } from "./deployment.ts";
import { HttpConnection } from "./http-connection.ts";
import { openConnections, streamPath, submitJob, submitRequest } from "./job-client.ts";
import { quantile } from "./measure.ts";
import type { Row } from "./table.ts";

/*
 * How long a byte takes from the program to the client. The program prints the time, and whoever reads a line compares it
 * with theirs: processes of one machine share a clock. Both stores and the bare program print at the same time, since ten
 * lines a second are no load; a thousand clients are, and have the machine for themselves.
 */

const ENTRY = "tick.py";
/** Where the first ones show what starts up, not what a byte takes. */
const SKIPPED_LINES = 5;

const CROWD = 1_000;
const CROWD_LINES_PER_SEC = 100;

/** Before a time; nothing else in a stream of this program has one. */
const MARK = "@";
/** More digits than a time has. */
const MAX_TIME_LENGTH = 24;

/** Prints the clock in ms at even intervals, whatever a single line takes. */
const source = (lines: number, perSecond: number) => `import time
start = time.monotonic()
for line in range(${lines}):
    time.sleep(max(0, start + line / ${perSecond} - time.monotonic()))
    print("${MARK}%.3f" % (time.monotonic_ns() / 1e6), flush=True)
`;

export async function measureByteLatency(bench: Bench): Promise<readonly Row[]> {
  return await withDeployments(
    storesHere.map((store) => () => startDeployment(store)),
    async (deployments) => {
      bench.say("byte latency: one client");
      const [lines, perSecond] = bench.isQuick ? [15, 50] : [300, 10];
      const program = source(lines, perSecond);
      const [bare, ...delays] = await Promise.all([
        delaysOfBare(bench, program),
        ...deployments.map(async (deployment) => await delaysOfJob(deployment, { program, lines })),
      ]);
      const rows = deployments.map(({ store }, index) =>
        rowOf(`${perSecond} lines/s, one client, ${store}`, delays[index] ?? [], {
          yardstick: { name: "bare python into a pipe", value: quantile(bare, 0.5) },
          targets: [
            { of: "value", atMost: 3 },
            { of: "p99", atMost: 25 },
          ],
        }),
      );
      for (const [index, deployment] of deployments.entries()) {
        bench.say(`byte latency: a crowd of clients, ${deployment.store}`);
        const alone = quantile(delays[index] ?? [], 0.5);
        rows.push({
          ...(await measureCrowd(bench, deployment)),
          yardstick: { name: "one client", value: alone },
        });
      }
      return rows;
    },
  );
}

function rowOf(
  what: string,
  delaysMs: ArrayLike<number>,
  rest: Pick<Row, "yardstick" | "targets">,
): Row {
  return {
    what: `byte to client, ${what}`,
    unit: "ms",
    value: quantile(delaysMs, 0.5),
    p99: quantile(delaysMs, 0.99),
    ...rest,
  };
}

async function delaysOfBare(bench: Bench, program: string): Promise<readonly number[]> {
  const { binary } = bench.runtimes.resolve("python3", ENTRY).runtime;
  const child = Bun.spawn([binary, ENTRY], {
    cwd: bench.folderOf({ [ENTRY]: program }),
    env: {},
    stdout: "pipe",
  });
  const delays = createDelays();
  for await (const chunk of child.stdout) delays.take(Buffer.from(chunk));
  return delays.all().slice(SKIPPED_LINES);
}

async function delaysOfJob(
  { service: { url } }: Deployment,
  { program, lines }: { readonly program: string; readonly lines: number },
): Promise<readonly number[]> {
  const connection = await HttpConnection.open(url);
  const delays = createDelays();
  try {
    const id = await submitJob(connection, submitRequest(url, jobOf(program)));
    await connection.get(streamPath(id), { onBody: delays.take });
  } finally {
    connection.close();
  }
  return inFull(delays.all(), lines).slice(SKIPPED_LINES);
}

/** A thousand clients of one job: the delays of all lines at all clients. */
async function measureCrowd(bench: Bench, { store, service: { url } }: Deployment): Promise<Row> {
  const clients = bench.isQuick ? 20 : CROWD;
  const seconds = bench.isQuick ? 0.5 : 10;
  const lines = Math.round(seconds * CROWD_LINES_PER_SEC);
  const connections = await openConnections(url, clients);
  // The program gives every client the time to be there before the first line.
  const program = `import time\ntime.sleep(${bench.isQuick ? 0.5 : 3})\n${source(lines, CROWD_LINES_PER_SEC)}`;
  try {
    const [first] = connections;
    if (first === undefined) throw new Error("There is no client");
    const id = await submitJob(first, submitRequest(url, jobOf(program)));
    const all = await Promise.all(
      connections.map(async (connection) => {
        const delays = createDelays();
        await connection.get(streamPath(id), { onBody: delays.take });
        return inFull(delays.all(), lines);
      }),
    );
    return rowOf(
      `${CROWD_LINES_PER_SEC} lines/s, ${clients} clients of one job, ${store}`,
      all.flat(),
      {
        targets: [{ of: "p99", atMost: 100 }],
      },
    );
  } finally {
    for (const connection of connections) connection.close();
  }
}

function jobOf(program: string) {
  return { spec: { entry: ENTRY }, files: { [ENTRY]: program } };
}

function inFull(delaysMs: readonly number[], lines: number): readonly number[] {
  if (delaysMs.length !== lines)
    throw new Error(`A client got ${delaysMs.length} lines in place of ${lines}`);
  return delaysMs;
}

/** Finds the times in what arrives, and compares them with the clock. A line that is not whole yet waits for its rest. */
function createDelays() {
  const delaysMs: number[] = [];
  let rest = "";
  return {
    take: (bytes: Buffer): void => {
      const nowMs = monotonicMs();
      const text = rest + bytes.toString("latin1");
      const end = text.lastIndexOf("\n") + 1;
      rest = text.slice(end);
      for (let at = text.indexOf(MARK); at !== -1 && at < end; at = text.indexOf(MARK, at + 1))
        delaysMs.push(nowMs - Number.parseFloat(text.slice(at + 1, at + MAX_TIME_LENGTH)));
    },
    all: (): readonly number[] => delaysMs,
  };
}
