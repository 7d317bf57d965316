import { Counter, Histogram, Registry } from "prom-client";

import { addProcessMetrics } from "./process-metrics.ts";
import { Runs } from "./runs.ts";

/*
 * What this process counts. Every label takes its values from a list in our code (statuses, reasons, error codes, route
 * patterns), never from a request or a program: a scrape stays as small as it is.
 */

/** From ten milliseconds, a claim of an idle worker, to the hours of a queue that is too long. */
const WAIT_BUCKETS_SEC = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200];
/** Around the 50 ms of a cold sandbox. */
const START_BUCKETS_SEC = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Up to the longest wall time that a job may ask for unless the operator says otherwise. */
const RUN_BUCKETS_SEC = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

/** Counters since the start of the process, and what they are worked out from. */
export interface Metrics {
  readonly registry: Registry;
  readonly runs: Runs;
  readonly jobsEnded: Counter<"status" | "reason">;
  readonly jobsRecovered: Counter<"became">;
  readonly runsFenced: Counter;
  readonly logBytes: Counter;
  readonly logDroppedBytes: Counter;
  readonly storeErrors: Counter<"operation" | "code">;
  readonly submits: Counter<"answer">;
  readonly callbacks: Counter<"result">;
  readonly httpRequests: Counter<"method" | "route" | "status">;
  readonly sandboxStarts: Counter<"on">;
  readonly installs: Counter<"result">;
  readonly compiles: Counter<"result">;
  readonly waitSec: Histogram;
  readonly startSec: Histogram;
  readonly installSec: Histogram;
  readonly compileSec: Histogram;
  readonly runSec: Histogram;
}

/** Metrics at zero, in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  addProcessMetrics(registry);
  const metrics = { registry, runs: new Runs(), ...counters(registry), ...histograms(registry) };
  // From zero on, so that the first one is an increase like any other.
  for (const became of ["requeued", "lost", "cancelled"]) metrics.jobsRecovered.inc({ became }, 0);
  for (const result of ["delivered", "postponed", "given_up"]) metrics.callbacks.inc({ result }, 0);
  for (const answer of ["accepted", "replayed"]) metrics.submits.inc({ answer }, 0);
  for (const result of ["made", "cached", "failed"])
    for (const steps of [metrics.installs, metrics.compiles]) steps.inc({ result }, 0);
  return metrics;
}

function counters(registry: Registry) {
  const counter = <Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ) => new Counter({ name: `jobrunner_${name}_total`, help, labelNames, registers: [registry] });
  return {
    jobsEnded: counter("jobs_ended", "Jobs that this process has brought to their end.", [
      "status",
      "reason",
    ]),
    jobsRecovered: counter(
      "recovered_jobs",
      "Jobs of dead workers that this process has found, by what became of them.",
      ["became"],
    ),
    runsFenced: counter(
      "fenced_runs",
      "Runs stopped because their lease was someone else's, or may have been after so long without the store.",
    ),
    logBytes: counter("log_bytes", "Output of programs that the store has taken."),
    logDroppedBytes: counter("log_dropped_bytes", "Output of programs that was dropped."),
    storeErrors: counter("store_errors", "Calls of the store that failed.", ["operation", "code"]),
    submits: counter(
      "submits",
      "Answers to POST /jobs: accepted, replayed for a key sent before, or the error's code.",
      ["answer"],
    ),
    callbacks: counter(
      "callbacks",
      "Tries to tell a client of its job's end: delivered, postponed, or given up.",
      ["result"],
    ),
    sandboxStarts: counter(
      "sandbox_starts",
      "Programs started, by what had been started ahead: their interpreter, their sandbox, or nothing.",
      ["on"],
    ),
    installs: counter(
      "installs",
      "Install steps, by what came of them: made, cached (as installed before for the same manifest), failed.",
      ["result"],
    ),
    compiles: counter(
      "compiles",
      "Compile steps, by what came of them: made, cached (as made before of the same code), failed.",
      ["result"],
    ),
    httpRequests: counter("http_requests", "Answered requests, by route pattern.", [
      "method",
      "route",
      "status",
    ]),
  };
}

function histograms(registry: Registry) {
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `jobrunner_job_${name}_seconds`, help, buckets, registers: [registry] });
  return {
    waitSec: histogram("wait", "From a job's submission to its first claim.", WAIT_BUCKETS_SEC),
    startSec: histogram("start", "From a claim until the program runs.", START_BUCKETS_SEC),
    installSec: histogram("install", "Install steps that were not cached.", RUN_BUCKETS_SEC),
    compileSec: histogram("compile", "Compile steps that were not cached.", RUN_BUCKETS_SEC),
    runSec: histogram("run", "From a program's start to its end.", RUN_BUCKETS_SEC),
  };
}
