import { peakResidentBytes, residentBytes } from "../test/faults/memory.ts";
import type { Bench } from "./bench.ts";
import {
  type Deployment,
  type StoreKind,
  startDeployment,
  storesHere,
  withDeployments,
} from "./deployment.ts";
import { createEventCounter } from "./event-counter.ts";
import { HttpConnection } from "./http-connection.ts";
import { jobOf, streamPath, submitJob, submitRequest } from "./job-client.ts";
import { median } from "./measure.ts";
import { resetPeak } from "./process-use.ts";
import type { Row, Target } from "./table.ts";

/*
 * How fast a program's output goes through, 100 MB in lines of 100 bytes, program, service, store and client sharing the
 * machine:
 *   to the SSE client: from the first line that it gets to the event `end`, while the program runs
 *   to the store: from the start of the attempt to its end, as the job's record tells
 *   to the snapshot: GET /logs of the ended job, from the request to the last byte
 * against the same program writing into a pipe that `cat` empties into /dev/null; and what the service's memory grows by.
 */

const ENTRY = "print-lines.py";
const LINE_BYTES = 100;
/** Printed again and again. */
const BLOCK_LINES = 10_000;
const BLOCK_BYTES = LINE_BYTES * BLOCK_LINES;
const MEGABYTE = 1_000_000;

/** Blocks of numbered lines, in writes as large as a program's own buffer would make them at its best. */
const source = (blocks: number) => `import os
block = b"".join(b"%0${LINE_BYTES - 1}d\\n" % line for line in range(${BLOCK_LINES}))
for _ in range(${blocks}):
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(1, rest):]
`;

/** Of one job, in MB/s. */
interface Rates {
  readonly stream: number;
  readonly stored: number;
  readonly snapshot: number;
}

export async function measureLogRate(bench: Bench): Promise<readonly Row[]> {
  const blocks = bench.isQuick ? 2 : 100;
  const rounds = bench.isQuick ? 1 : 3;
  const { binary } = bench.runtimes.resolve("python3", ENTRY).runtime;
  const cwd = bench.folderOf({ [ENTRY]: source(blocks) });
  return await withDeployments(
    storesHere.map((store) => () => startDeployment(store)),
    async (deployments) => {
      // Before the memory is looked at: a service that has never run a job grows by its first one.
      for (const deployment of deployments) await throughService(deployment, 1);
      const pipe: number[] = [];
      const measured = deployments.map((deployment) => ({
        deployment,
        memory: watchMemory(deployment.service.pid),
        rates: [] as Rates[],
      }));
      for (let round = 1; round <= rounds; round += 1) {
        pipe.push(await intoPipe(binary, { cwd, bytes: blocks * BLOCK_BYTES }));
        for (const { deployment, rates } of measured) {
          bench.say(`log rate: ${deployment.store}, ${round} of ${rounds}`);
          rates.push(await throughService(deployment, blocks));
        }
      }
      return measured.flatMap(({ deployment: { store }, memory, rates }) => [
        ...rateRows(rates, { store, pipe, megabytes: (blocks * BLOCK_BYTES) / MEGABYTE }),
        {
          what: `memory that this takes of the service at most, ${store}`,
          unit: "MB",
          value: memory.growthBytes() / MEGABYTE,
          targets: [{ of: "value", atMost: 64 }],
        },
      ]);
    },
  );
}

function rateRows(
  rates: readonly Rates[],
  {
    store,
    pipe,
    megabytes,
  }: {
    readonly store: StoreKind;
    /** Of the same program into a pipe. */
    readonly pipe: readonly number[];
    readonly megabytes: number;
  },
): readonly Row[] {
  const row = (to: string, of: keyof Rates, targets: readonly Target[]): Row => ({
    what: `log of ${megabytes} MB in lines of ${LINE_BYTES} B, ${store}: ${to}`,
    unit: "MB/s",
    value: median(rates.map((each) => each[of])),
    yardstick: { name: "into a pipe to /dev/null", value: median(pipe) },
    targets,
  });
  const isRedis = store === "redis";
  return [
    row("to the SSE client", "stream", [{ of: "value", atLeast: isRedis ? 40 : 30 }]),
    row("to the store", "stored", []),
    row("snapshot", "snapshot", [{ of: "value", atLeast: isRedis ? 100 : 80 }]),
  ];
}

/** MB/s of the program alone. */
async function intoPipe(
  binary: string,
  { cwd, bytes }: { readonly cwd: string; readonly bytes: number },
): Promise<number> {
  const startMs = performance.now();
  const child = Bun.spawn(["sh", "-c", `"$0" ${ENTRY} | cat > /dev/null`, binary], {
    cwd,
    env: {},
  });
  if ((await child.exited) !== 0) throw new Error(`${ENTRY} has failed`);
  return rate(bytes, performance.now() - startMs);
}

async function throughService({ service: { url } }: Deployment, blocks: number): Promise<Rates> {
  const bytes = blocks * BLOCK_BYTES;
  const spec = { entry: ENTRY, limits: { output_mb: 128 } };
  const connection = await HttpConnection.open(url);
  try {
    const request = submitRequest(url, { spec, files: { [ENTRY]: source(blocks) } });
    const id = await submitJob(connection, request);
    const events = createEventCounter();
    await connection.get(streamPath(id), { onBody: events.take });
    // The lines, `attempt` and `end`, and what opens a stream.
    events.expect(blocks * BLOCK_LINES + 3);
    const { startedAtMs, finishedAtMs } = await jobOf(connection, id);
    return {
      stream: rate(bytes, events.elapsedMs()),
      stored: rate(bytes, finishedAtMs - startedAtMs),
      snapshot: rate(bytes, await readSnapshot(connection, id, bytes)),
    };
  } finally {
    connection.close();
  }
}

/** The time from the request to the last byte. Throws unless every block is as the program wrote it. */
async function readSnapshot(
  connection: HttpConnection,
  id: string,
  expectedBytes: number,
): Promise<number> {
  const block = Buffer.from(
    Array.from({ length: BLOCK_LINES }, (_, line) => `${line}`.padStart(LINE_BYTES - 1, "0"))
      .map((line) => `${line}\n`)
      .join(""),
  );
  let received = 0;
  let isRight = true;
  const startMs = performance.now();
  await connection.get(`/jobs/${id}/logs`, {
    onBody(bytes) {
      for (let at = 0; at < bytes.length;) {
        const inBlock = (received + at) % BLOCK_BYTES;
        const length = Math.min(bytes.length - at, BLOCK_BYTES - inBlock);
        isRight &&= bytes.compare(block, inBlock, inBlock + length, at, at + length) === 0;
        at += length;
      }
      received += bytes.length;
    },
  });
  const elapsedMs = performance.now() - startMs;
  if (!isRight || received !== expectedBytes)
    throw new Error(`The snapshot of ${id} has ${received} bytes, or other ones than were printed`);
  return elapsedMs;
}

/** What a process's memory grows by at most from now on. */
function watchMemory(pid: number) {
  resetPeak(pid);
  const beforeBytes = residentBytes(pid);
  return { growthBytes: () => peakResidentBytes(pid) - beforeBytes };
}

function rate(bytes: number, ms: number): number {
  return bytes / MEGABYTE / (ms / 1000);
}
