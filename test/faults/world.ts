import { setTimeout as delay } from "node:timers/promises";

import { type JobJson, submissionForm } from "../support/client.ts";
import {
  freePort,
  type RedisServer,
  type RedisServerOptions,
  startRedisServer,
} from "../support/redis-server.ts";
import {
  freshDataDir,
  removeDataDir,
  ROOT,
  type RunningService,
  type StartAs,
  startService,
  startWorker,
} from "../support/service.ts";
import { isRoot } from "../support/set-ups.ts";
import { checkJob, type Expected } from "./checker.ts";
import { follow, type SeenEvent } from "./follower.ts";
import { type GuestProcess, guestsOf, runtimeDirectoryOf, sandboxedBy } from "./guest-processes.ts";
import { createOracle, type Oracle, type OracleOptions } from "./oracle.ts";
import type { Random } from "./random.ts";
import { storyOf } from "./story.ts";
import { Violation } from "./violation.ts";

export type StoreKind = "sqlite" | "redis";
export type Process = Omit<RunningService, "url">;

export interface WorldOptions {
  readonly redis?: RedisServerOptions;
  /** For every process of it. */
  readonly env?: Readonly<Record<string, string>>;
  /** On Redis too the API runs jobs itself. */
  readonly inline?: boolean;
  /** The store may lose its last second, and clients of a stream then begin anew. */
  readonly mayReset?: boolean;
}

/** An oracle job, and the streams of it that clients follow from the moment it was submitted. */
export interface TrackedJob {
  readonly id: string;
  readonly oracle: Oracle;
  readonly pieces: Promise<readonly SeenEvent[]>;
  readonly lines: Promise<readonly SeenEvent[]>;
}

/** A job that has not ended after this is taken for lost. */
const PATIENCE_MS = 120_000;
/** What a job leaves behind must be gone this long after its worker is. */
const ORPHAN_MS = 1_000;
/** What waited for one only takes memory: it may end as soon as the machine has time for it. */
const WAITING_MS = 5_000;
const RETRY_MS = 50;

/**
 * A deployment of real processes under test: a store, an API on a port that it keeps across restarts, and on Redis its
 * workers. Everything is killed at the end, and nothing of any job may be left then.
 */
export class World {
  readonly kind: StoreKind;
  readonly random: Random;
  readonly dataDir: string;
  readonly redis: RedisServer | null;
  readonly #port: number;
  readonly #options: WorldOptions & { readonly leaseMs: number };
  readonly #processes: Process[] = [];
  /** The runtime directories of those that have ended. */
  readonly #abandoned: string[] = [];
  readonly #jobIds = new Set<string>();
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(
    setting: Pick<World, "kind" | "random" | "dataDir" | "redis"> & { readonly port: number },
    options: WorldOptions & { readonly leaseMs: number },
  ) {
    this.kind = setting.kind;
    this.random = setting.random;
    this.dataDir = setting.dataDir;
    this.redis = setting.redis;
    this.#port = setting.port;
    this.#options = options;
  }

  /** The store and the folders; processes are started by the caller. */
  static async open(
    kind: StoreKind,
    random: Random,
    options: WorldOptions & { readonly leaseMs: number },
  ): Promise<World> {
    const redis = kind === "redis" ? await startRedisServer(options.redis) : null;
    const [dataDir, port] = [await freshDataDir(), await freePort()];
    return new World({ kind, random, dataDir, redis, port }, options);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async startApi(
    env: Readonly<Record<string, string>> = {},
    startAs?: StartAs,
  ): Promise<RunningService> {
    const inline = this.kind === "sqlite" || this.#options.inline === true;
    const api = await startService({
      dataDir: this.dataDir,
      env: { PORT: String(this.#port), ...this.#env(), INLINE_WORKER: inline ? "1" : "0", ...env },
      ...(startAs !== undefined && { startAs }),
    });
    return this.#watch(api);
  }

  /** A worker, as one of this machine, or (root only) as one whose death no other can see. */
  async startWorker(
    env: Readonly<Record<string, string>> = {},
    { isRemote = false }: { readonly isRemote?: boolean } = {},
  ): Promise<Process> {
    const hostName = `remote-${crypto.randomUUID().slice(0, 8)}`;
    const elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', hostName];
    const worker = await startWorker({
      dataDir: this.dataDir,
      env: { ...this.#env(), ...env },
      startAs: { prefix: isRemote && isRoot ? elsewhere : [], root: ROOT, bun: process.execPath },
    });
    return this.#watch(worker);
  }

  #watch<P extends Process>(process: P): P {
    this.#processes.push(process);
    const directory = runtimeDirectoryOf(process.pid);
    if (directory !== null) void process.exited.then(() => this.#abandoned.push(directory));
    return process;
  }

  #env(): Readonly<Record<string, string>> {
    return {
      LEASE_MS: String(this.#options.leaseMs),
      HEARTBEAT_SEC: "1",
      LOG_LEVEL: "debug",
      MIN_FREE_DISK_MB: "0",
      ...(this.redis !== null && { REDIS_URL: this.redis.url }),
      // What the programs of its jobs are in: each start of a worker tries what it offers.
      LANGUAGES: "python,sh,bash",
      MAX_QUEUED: "0",
      ...this.#options.env,
    };
  }

  /** Submits an oracle, as often as it takes, and follows it from then on. */
  async submit(options: OracleOptions = {}): Promise<TrackedJob> {
    const oracle = createOracle(this.random, options);
    const job = await this.submitOnce(crypto.randomUUID(), oracle);
    const { id } = job;
    const followed = (query: string) =>
      follow({
        url: this.url,
        path: `/jobs/${id}/logs/stream?attempt=all&${query}`,
        random: this.random,
        deadlineMs: PATIENCE_MS,
        mayReset: this.#options.mayReset ?? false,
      });
    const tracked = {
      id,
      oracle,
      pieces: followed("format=json"),
      lines: followed("stream=stdout"),
    };
    // Awaited in the end; a row that fails before that says why by itself.
    for (const stream of [tracked.pieces, tracked.lines]) stream.catch(() => undefined);
    return tracked;
  }

  /** POST /jobs with an Idempotency-Key until it is taken, as a careful client does it. */
  async submitOnce(
    key: string,
    job: { readonly spec: object; readonly code: Readonly<Record<string, string>> },
  ): Promise<JobJson> {
    const givesUpAtMs = performance.now() + PATIENCE_MS;
    while (performance.now() < givesUpAtMs) {
      const response = await fetch(`${this.url}/jobs`, {
        method: "POST",
        headers: { "Idempotency-Key": key },
        body: submissionForm(job),
      }).catch(() => null);
      const taken = response?.status === 202 ? await takenJob(response) : null;
      if (taken !== null) {
        this.#jobIds.add(taken.id);
        return taken;
      }
      if (response !== null && response.status !== 202 && response.status !== 503)
        throw new Error(`POST /jobs answered ${response.status} ${await response.text()}`);
      await delay(RETRY_MS);
    }
    throw new Violation("loss", `a job was not taken in ${PATIENCE_MS} ms`);
  }

  /** Submits a Python program of one file. */
  async submitPython(source: string, spec: object = {}): Promise<JobJson> {
    return await this.submitOnce(crypto.randomUUID(), {
      spec: { entry: "main.py", ...spec },
      code: { "main.py": source },
    });
  }

  /** Follows the job to its end and checks all of it. */
  async expectEnd(job: TrackedJob, expected: Expected): Promise<JobJson> {
    try {
      const [pieces, lines] = await Promise.all([job.pieces, job.lines]);
      return await checkJob(this.url, { ...job, pieces, lines }, expected);
    } catch (error) {
      if (error instanceof Error)
        error.message += await storyOf(job.id, { url: this.url, processes: this.#processes });
      throw error;
    }
  }

  /**
   * Processes of jobs, and in sandboxes of who has ended; none may be left `withinMs` after what ran them has died, and WAITING_MS
   * where they have no job.
   */
  async expectNoGuests(withinMs = ORPHAN_MS): Promise<void> {
    const diedAtMs = performance.now();
    for (;;) {
      const guests = this.guests();
      const left = [...guests, ...sandboxedBy(this.#abandoned)];
      if (left.length === 0) return;
      const sinceMs = performance.now() - diedAtMs;
      if (sinceMs > (guests.length > 0 ? withinMs : WAITING_MS))
        throw new Violation("orphan", `${JSON.stringify(left)} are left after ${sinceMs} ms`);
      await delay(RETRY_MS);
    }
  }

  /** Resolves once the job has printed something. */
  async untilPrinted({ id }: Pick<TrackedJob, "id">): Promise<void> {
    await this.#untilSeen(id, /^data: \{"stream"/m);
  }

  /** Resolves to when the attempt was begun, in Unix milliseconds. */
  async untilAttempt({ id }: TrackedJob, attempt: number): Promise<number> {
    const [, epoch] = await this.#untilSeen(
      id,
      new RegExp(`^id: (\\d+)-0\\.0\ndata: \\{"attempt":${attempt}\\b`, "m"),
    );
    // An epoch is the time of its claim, unless a clock went back (store.ts).
    return Number(epoch);
  }

  async #untilSeen(id: string, pattern: RegExp): Promise<RegExpExecArray> {
    const response = await fetch(`${this.url}/jobs/${id}/logs/stream?attempt=all&format=json`);
    let text = "";
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      const match = pattern.exec(text);
      if (match !== null) return match;
    }
    throw new Violation("loss", `the stream ended before ${pattern}: ${text.slice(-300)}`);
  }

  /** A stream to its end, over one connection. */
  async wholeStream(path: string): Promise<readonly SeenEvent[]> {
    const { random, url } = this;
    return await follow({ url, path, random, cuts: 0, deadlineMs: PATIENCE_MS });
  }

  /** The processes of all jobs that were submitted here. */
  guests(): readonly GuestProcess[] {
    return guestsOf(this.#jobIds);
  }

  /** The attempts that processes of the job belong to now. */
  copiesOf({ id }: Pick<TrackedJob, "id">): readonly number[] {
    return guestsOf(new Set([id])).map(({ attempt }) => attempt);
  }

  /** `closer` is called once the world's processes are gone. */
  onClose(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }

  /** Kills everything and removes it; `hasFailed`: a row that is lost already is not looked at again. */
  async close({ hasFailed }: { readonly hasFailed: boolean }): Promise<void> {
    try {
      await Promise.all(this.#processes.map((each) => each.kill9()));
      if (!hasFailed) await this.expectNoGuests();
    } finally {
      for (const closer of this.#closers) await closer();
      await this.redis?.stop();
      await removeDataDir(this.dataDir);
    }
  }
}

/** null when the connection broke in the middle of the answer. */
async function takenJob(response: Response): Promise<JobJson | null> {
  return (await response.json().catch(() => null)) as JobJson | null;
}
