import type { Priority } from "../../jobs/job.ts";

/**
 * The names of an installation's keys. All carry one hash tag, so that each step is one atomic script, on a plain server
 * and on a Cluster alike.
 */
export interface Keys {
  /** The keys that scripts/shared.lua expects first, in its order. */
  readonly shared: readonly string[];
  /** The queues in the order of their claiming: high, normal, low. LIST of ids; LPUSH new, RPOP take. */
  readonly queues: readonly string[];
  /** ZSET id -> lease deadline in Redis milliseconds: the only "processing" structure. */
  readonly running: string;
  /** ZSET with the doorbell as its one member. */
  readonly wake: string;
  /** HASH: schema, last_sweep (Redis ms of the last beat or sweep), graced_until (Redis ms), pinged (means nothing), run_id of the server that was last claimed from. */
  readonly meta: string;
  /** ZSET id -> creation time in Redis microseconds. */
  readonly all: string;
  /** ZSET id -> end in Redis milliseconds. */
  readonly ended: string;
  /** HASH owner -> what it offers (JSON). */
  readonly workers: string;
  /** ZSET owner -> when it was last heard of, in Redis milliseconds: by an announcement or a beat. */
  readonly workersSeen: string;
  /** ZSET id -> when its client is to be told of its end, in Redis milliseconds. */
  readonly callbacks: string;
  readonly jobPrefix: string;
  readonly logPrefix: string;
  /** HASH: the record (codec.ts). */
  readonly job: (id: string) => string;
  /** STREAM of log entries `<epoch>-<seq>` (codec.ts). */
  readonly log: (id: string) => string;
  /** HASH slot -> `<epoch> <id> <token>` of the slot's latest claim. */
  readonly slots: (owner: string) => string;
  /** STRING `<digest> <id>`: the job that was stored under a client's key. */
  readonly once: (key: string) => string;
  /** Of one API key; scripts/shared.lua makes the same names (of_key). */
  readonly ofKey: (keyId: string) => KeysOfKey;
}

interface KeysOfKey {
  /** ZSET id -> creation time in Redis microseconds, of all its jobs. */
  readonly jobs: string;
  /** SET of the ids of those that wait or run: changed in the step that changes the job, never by itself. */
  readonly active: string;
  /** Counters, each of which expires with its window. */
  readonly submits: string;
  readonly cpuMs: string;
}

const CLAIM_ORDER: readonly Priority[] = ["high", "normal", "low"];

/** `prefix` separates installations that share a server; it must hold no brace. */
export function keysOf(prefix: string): Keys {
  const key = (name: string): string => `{${prefix}}:${name}`;
  const queues = CLAIM_ORDER.map((priority) => key(`queue:${priority}`));
  const [running, wake, meta, all, ended] = [
    key("running"),
    key("wake"),
    key("meta"),
    key("all"),
    key("ended"),
  ];
  const [jobPrefix, logPrefix] = [key("job:"), key("log:")];
  return {
    shared: [...queues, running, wake, meta, all, ended],
    queues,
    running,
    wake,
    meta,
    all,
    ended,
    workers: key("workers"),
    workersSeen: key("workers-seen"),
    callbacks: key("callbacks"),
    jobPrefix,
    logPrefix,
    job: (id) => jobPrefix + id,
    log: (id) => logPrefix + id,
    slots: (owner) => key(`slots:${owner}`),
    once: (name) => key(`once:${name}`),
    ofKey: (keyId) => ({
      jobs: key(`jobs-of:${keyId}`),
      active: key(`active-of:${keyId}`),
      submits: key(`submits-of:${keyId}`),
      cpuMs: key(`cpu-ms-of:${keyId}`),
    }),
  };
}
