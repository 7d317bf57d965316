import { getJob, snapshot, waitForEnd } from "../../support/client.ts";
import { processesWith } from "../../support/guests.ts";
import type { RunningService } from "../../support/service.ts";
import { residentBytes } from "../memory.ts";
import { BOTH, type Row, type Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { Process, World } from "../world.ts";

const MIB = 1024 * 1024;

async function openOne(trial: Trial): Promise<{ world: World; runner: Process | RunningService }> {
  const world = await trial.open();
  const api = await world.startApi();
  return { world, runner: world.kind === "redis" ? await world.startWorker() : api };
}

const FLOODS = {
  "1 GB in a burst": ["block = b'x' * 2**20", "for _ in range(1000): write(block)", 1000 * MIB],
  "a line of 100 MB": ["write(b'x' * 100_000_000)", "write(b'\\n')", 100_000_001],
  "a million empty lines": ["block = b'\\n' * 1000", "for _ in range(1000): write(block)", 1e6],
} as const;

/** What may gather on the way: pipes, a megabyte of buffer, the spool, and what the collector has not freed yet. */
const FLAT_BYTES = 128 * MIB;

const floods: readonly Row[] = Object.entries(FLOODS).map(([name, [first, second, bytes]]) => ({
  name: `output: ${name}`,
  stores: BOTH,
  async run(trial) {
    const { world, runner } = await openOne(trial);
    const beforeBytes = residentBytes(runner.pid);
    const capMb = 1;
    const source = `import os\ndef write(data):\n    while data: data = data[os.write(1, data):]\n${first}\n${second}\n`;
    const { id } = await world.submitPython(source, {
      limits: { output_mb: capMb },
      timeout_sec: 100,
    });
    const following = world.wholeStream(`/jobs/${id}/logs/stream?format=json`);
    let peakBytes = 0;
    const watching = setInterval(() => {
      peakBytes = Math.max(peakBytes, residentBytes(runner.pid));
    }, 20);
    const job = await waitForEnd(world.url, id).finally(() => clearInterval(watching));
    const kept = (await snapshot(world.url, id)).length;
    if (job.status !== "succeeded" || kept !== Math.min(capMb * MIB, bytes))
      throw new Violation("gap", `${kept} bytes kept of ${JSON.stringify(job)}`);
    if (job.log.bytes !== kept || kept + job.log.dropped_bytes !== bytes)
      throw new Violation("gap", `${bytes} were written: ${JSON.stringify(job.log)}`);
    const told = (await following).findLast((event) => event.name === "gap")?.data;
    if (told !== JSON.stringify({ dropped_bytes: bytes - kept }) && bytes > kept)
      throw new Violation(
        "gap",
        `${bytes - kept} bytes were dropped, and the stream tells ${told}`,
      );
    if (peakBytes - beforeBytes > FLAT_BYTES)
      throw new Error(`The worker grew by ${Math.round((peakBytes - beforeBytes) / MIB)} MiB`);
  },
}));

/** Hard to cut: characters of four bytes, NUL, CR and LF in every order, U+2028, and a character that never ends. */
const TORTURE = "😀\0\r\n\r\r\n\n\u2028é\r".repeat(30);

const torture: Row = {
  name: "output cut at every offset of characters and line ends",
  stores: BOTH,
  async run(trial) {
    const { world } = await openOne(trial);
    const bytes = Buffer.concat([Buffer.from(TORTURE), Buffer.from([0xf0, 0x9f])]);
    const size = trial.random.int(1, 7);
    const source = `import base64, os, time
data = base64.b64decode("${bytes.toString("base64")}")
for at in range(0, len(data), ${size}):
    os.write(1, data[at : at + ${size}])
    if at % ${trial.random.int(3, 40)} == 0: time.sleep(0.003)
`;
    const { id } = await world.submitPython(source);
    const path = `/jobs/${id}/logs/stream`;
    const messagesOf = async (query: string) =>
      (await world.wholeStream(path + query))
        .filter((event) => event.name === "message")
        .map(({ data }) => data);
    const pieces = (await messagesOf("?format=json")).map(
      (data) => JSON.parse(data) as { text?: string; b64?: string },
    );
    const joined = Buffer.concat(
      pieces.map((piece) => Buffer.from(piece.text ?? Buffer.from(piece.b64 ?? "", "base64"))),
    );
    if (!joined.equals(bytes)) throw new Violation("gap", "the stream is not what was written");
    if (!(await snapshot(world.url, id)).equals(bytes))
      throw new Violation("gap", "the snapshot is not what was written");
    if (pieces.filter(({ b64 }) => b64 !== undefined).length !== 1)
      throw new Violation("gap", "a character was cut");
    const lines = await messagesOf("");
    const wanted = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).split(/\r\n|\r|\n/);
    if (JSON.stringify(lines) !== JSON.stringify(wanted))
      throw new Violation("gap", `the lines are ${JSON.stringify(lines).slice(0, 300)}`);
  },
};

const grandchild: Row = {
  name: "a grandchild keeps the pipes after the program's end",
  stores: BOTH,
  async run(trial) {
    const { world } = await openOne(trial);
    const marker = `sleeper-${crypto.randomUUID()}`;
    const source = `import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", "${marker}"], start_new_session=True)
print("bye")
`;
    const { id } = await world.submitPython(source);
    const job = await waitForEnd(world.url, id);
    const ms = Date.parse(job.finished_at ?? "") - Date.parse(job.started_at ?? "");
    if (job.status !== "succeeded" || ms > 2_000)
      throw new Violation("loss", `it ended after ${ms} ms as ${job.status}`);
    if (processesWith(marker).length > 0) throw new Violation("orphan", "the grandchild lives");
    if ((await snapshot(world.url, id)).toString() !== "bye\n") throw new Violation("gap", "bye");
  },
};

const LAST_MOMENTS = {
  exit: "os._exit(0)",
  abort: "os.abort()",
  SIGKILL: "os.kill(os.getpid(), 9)",
} as const;

const lastWords: readonly Row[] = Object.entries(LAST_MOMENTS).map(([how, last]) => ({
  name: `output written just before ${how}`,
  stores: BOTH,
  async run(trial) {
    const { world } = await openOne(trial);
    const bytes = trial.random.int(1, 60_000);
    const source = `import os, random
os.write(2, b"e" * 17)
data = b"x" * ${bytes}
while data: data = data[os.write(1, data):]
${last}
`;
    const { id } = await world.submitPython(source);
    await waitForEnd(world.url, id);
    const [out, err] = await Promise.all(
      ["stdout", "stderr"].map((stream) => snapshot(world.url, id, `?stream=${stream}`)),
    );
    const job = await getJob(world.url, id);
    if (out?.length !== bytes || err?.length !== 17)
      throw new Violation("gap", `${out?.length} of ${bytes} bytes, ${JSON.stringify(job.log)}`);
    if ((how === "exit") !== (job.status === "succeeded"))
      throw new Violation("loss", `it ended as ${job.status}`);
  },
}));

export const OUTPUT: readonly Row[] = [...floods, torture, grandchild, ...lastWords];
