import { setTimeout as delay } from "node:timers/promises";

import { messageOf } from "./errors.ts";
import type { Logger } from "./logger.ts";

/** Anything that runs in the background: started once, stopped once. stop() resolves when nothing of it runs any more. */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** However late it is, each service gets this long to stop: one that hangs must not take the others' turn. */
const MIN_STOP_MS = 100;

/**
 * Starts services in order. Resolves to a function that stops them in the opposite order, all together within about
 * `deadlineMs`; one that fails or hangs is logged and does not keep the others from being stopped. A service that does
 * not start is stopped with those before it, and its error is thrown.
 */
export async function startAll(
  services: readonly Service[],
  log: Logger,
): Promise<(deadlineMs: number) => Promise<void>> {
  const started: Service[] = [];
  const stopAll = async (deadlineMs: number) => {
    const endMs = performance.now() + deadlineMs;
    for (const service of started.toReversed())
      await stopWithin(service, Math.max(endMs - performance.now(), MIN_STOP_MS), log);
  };
  for (const service of services) {
    started.push(service);
    try {
      await service.start();
    } catch (error) {
      await stopAll(5_000);
      throw error;
    }
  }
  return stopAll;
}

async function stopWithin(service: Service, timeoutMs: number, log: Logger): Promise<void> {
  const stopped = new AbortController();
  const late = delay(timeoutMs, "late", { signal: stopped.signal }).catch(() => "stopped");
  const stopping = service.stop().catch((error: unknown) => {
    log.error("stop_incomplete", `The ${service.name} failed to stop: ${messageOf(error)}`, {
      error,
    });
  });
  if ((await Promise.race([stopping, late])) === "late")
    log.warn("stop_incomplete", `The ${service.name} did not stop in time.`);
  stopped.abort();
}

/** Waits, or resolves early when `signal` fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** What a promise gives; null when it rejects, or takes longer than `timeoutMs`. */
export async function orNull<T>(promise: Promise<T>, timeoutMs: number): Promise<T | null> {
  const answered = new AbortController();
  const answer = promise.catch(() => null);
  const result = await Promise.race([answer, pause(timeoutMs, answered.signal).then(() => null)]);
  answered.abort();
  return result;
}

/**
 * Runs `step` again and again until `signal` fires, `intervalMs` after each end. A step that throws is reported and does
 * not end the loop, so that a store that was away is used again once it is back.
 */
export async function repeat(
  step: () => Promise<void>,
  options: {
    readonly intervalMs: number;
    readonly signal: AbortSignal;
    readonly onError: (error: unknown) => void;
  },
): Promise<void> {
  while (!options.signal.aborted) {
    try {
      await step();
    } catch (error) {
      options.onError(error);
    }
    await pause(options.intervalMs, options.signal);
  }
}
