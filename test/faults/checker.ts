import { getJob, type JobJson, snapshot } from "../support/client.ts";
import type { SeenEvent } from "./follower.ts";
import type { Oracle } from "./oracle.ts";
import { Violation } from "./violation.ts";

const STREAMS = ["stdout", "stderr"] as const;
const TERMINAL = ["succeeded", "failed", "timed_out", "cancelled", "lost"];

/** What a client has seen of one oracle job: two streams over its whole life, all attempts included. */
export interface Observed {
  readonly id: string;
  readonly oracle: Oracle;
  /** `?format=json&attempt=all` */
  readonly pieces: readonly SeenEvent[];
  /** `?stream=stdout&attempt=all` */
  readonly lines: readonly SeenEvent[];
}

export interface Expected {
  readonly status?: string;
  /** How often it may have been started. */
  readonly attempts: readonly [min: number, max: number];
}

/** Holds an ended oracle job against what its program wrote (I2, I3, I6 of store.ts), and its stream against its snapshot. Throws a Violation. */
export async function checkJob(
  url: string,
  observed: Observed,
  expected: Expected,
): Promise<JobJson> {
  const { id } = observed;
  const job = await getJob(url, id).catch((error: unknown) => {
    throw new Violation("loss", `job ${id}: ${String(error)}`);
  });
  const { status = "succeeded" } = expected;
  if (!TERMINAL.includes(job.status)) throw new Violation("loss", `job ${id} is ${job.status}`);
  if (job.status !== status)
    throw new Violation("loss", `job ${id} is ${job.status} (${job.error}), not ${status}`);
  const [min, max] = expected.attempts;
  if (job.attempt > max)
    throw new Violation("duplicate", `job ${id} ran ${job.attempt} times, at most ${max} expected`);
  if (job.attempt < min)
    throw new Violation("loss", `job ${id} ran ${job.attempt} times, at least ${min} expected`);
  checkOrder(observed.pieces);
  checkOrder(observed.lines);
  for (let attempt = 1; attempt <= job.attempt; attempt += 1)
    await checkAttempt(url, observed, { job, attempt });
  if (status === "succeeded") await checkArtifact(url, job);
  if (job.log.dropped_bytes !== 0) throw new Violation("gap", `job ${id} dropped output`);
  const latest = await snapshot(url, id);
  if (latest.length !== job.log.bytes)
    throw new Violation("gap", `job ${id} counts ${job.log.bytes} bytes, not ${latest.length}`);
  return job;
}

/** A `?format=json` stream of a job with one attempt, held against its snapshot, all of both outputs. Throws a Violation. */
export function checkPieces(
  what: string,
  events: readonly SeenEvent[],
  snapshots: Readonly<Record<"stdout" | "stderr", string>>,
): void {
  checkOrder(events);
  for (const stream of STREAMS) {
    const seen = join(contentsOf(eventsOf(events, 1), stream));
    const stored = Buffer.from(snapshots[stream]);
    if (!seen.equals(stored)) throw differs(`${what}: ${stream}`, seen, stored);
  }
}

/** Every id greater than the one before, attempts counted from 1, no reset, and one end, at the end. */
function checkOrder(events: readonly SeenEvent[]): void {
  let last: readonly number[] = [];
  for (const { id, name, data } of events) {
    if (name === "reset") throw new Violation("gap", "the stream was reset");
    if (name === "gap") throw new Violation("gap", `the log was cut: ${data}`);
    const parts = id.split(/[-.]/).map(Number);
    const order = parts.map((part, index) => part - (last[index] ?? -1)).find((by) => by !== 0);
    if (order === undefined || order < 0)
      throw new Violation("duplicate", `event ${id} comes after ${last.join("-")}`);
    last = parts;
  }
  const ends = events.filter(({ name }) => name === "end").length;
  if (ends !== 1 || events.at(-1)?.name !== "end")
    throw new Violation(ends > 1 ? "duplicate" : "loss", `${ends} ends in a stream`);
  const attempts = attemptsIn(events);
  if (attempts.some((attempt, index) => attempt !== index + 1))
    throw new Violation("gap", `attempts came as ${attempts.join(", ")}`);
}

function attemptsIn(events: readonly SeenEvent[]): readonly number[] {
  return events
    .filter(({ name }) => name === "attempt")
    .map(({ data }) => (JSON.parse(data) as { attempt: number }).attempt);
}

/** The events between the border of one attempt and the next. */
function eventsOf(events: readonly SeenEvent[], attempt: number): readonly SeenEvent[] {
  const borders = events.flatMap(({ name }, index) => (name === "attempt" ? [index] : []));
  return events
    .slice(borders[attempt - 1], borders[attempt])
    .filter(({ name }) => name === "message");
}

/** What pieces of one stream say: text, or bytes where that is not UTF-8. */
function contentsOf(pieces: readonly SeenEvent[], stream: string): readonly (string | Buffer)[] {
  return pieces
    .map(({ data }) => JSON.parse(data) as { stream: string; text?: string; b64?: string })
    .filter((piece) => piece.stream === stream)
    .map(({ text, b64 }) => (text === undefined ? Buffer.from(b64 ?? "", "base64") : text));
}

function join(contents: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(contents.map((content) => Buffer.from(content)));
}

async function checkAttempt(
  url: string,
  { id, oracle, pieces, lines }: Observed,
  { job, attempt }: { readonly job: JobJson; readonly attempt: number },
): Promise<void> {
  const what = `job ${id}, attempt ${attempt}`;
  const isWhole = attempt === job.attempt && job.status === "succeeded";
  for (const stream of STREAMS) {
    const stored = await snapshot(url, id, `?attempt=${attempt}&stream=${stream}`);
    const written = Buffer.from(oracle.text(attempt, stream));
    if (!stored.equals(isWhole ? written : written.subarray(0, stored.length)))
      throw differs(`${what}, ${stream}`, stored, written);
    const seen = contentsOf(eventsOf(pieces, attempt), stream);
    const joined = join(seen);
    if (!joined.equals(stored)) throw differs(`${what}: the stream's ${stream}`, joined, stored);
    // A program that was killed may have been in the middle of a character: then it is the last piece.
    const cut = seen.findIndex((piece) => typeof piece !== "string");
    if (cut !== -1 && (isWhole || cut !== seen.length - 1))
      throw new Violation("gap", `${what}: a character of ${stream} was cut`);
  }
  const text = (await snapshot(url, id, `?attempt=${attempt}&stream=stdout`)).toString();
  const shown = eventsOf(lines, attempt).map(({ data }) => `${data}\n`);
  const normalised = text.replace(/\r\n?/g, "\n").replace(/([^\n])$/, "$1\n");
  if (shown.join("") !== normalised)
    throw differs(`${what}: its lines`, Buffer.from(shown.join("")), Buffer.from(normalised));
}

function differs(what: string, found: Buffer, wanted: Buffer): Violation {
  let at = 0;
  while (at < found.length && found[at] === wanted[at]) at += 1;
  const near = (bytes: Buffer) =>
    JSON.stringify(bytes.subarray(Math.max(at - 40, 0), at + 60).toString());
  return new Violation(
    "gap",
    `${what} has ${found.length} bytes of ${wanted.length} and differs at ${at}: ${near(found)} in place of ${near(wanted)}`,
  );
}

/** Made by the latest attempt, and by no other. */
async function checkArtifact(url: string, job: JobJson): Promise<void> {
  const [artifact] = job.artifacts;
  const response = artifact === undefined ? null : await fetch(url + artifact.url);
  const content = await response?.text();
  if (content !== String(job.attempt))
    throw new Violation("loss", `job ${job.id}: its artifact is ${JSON.stringify(content)}`);
}
