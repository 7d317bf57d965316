import { setTimeout as delay } from "node:timers/promises";

/** Anything that runs in the background: started once, stopped once. stop() resolves when nothing of it runs any more. */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts services in order. Resolves to a function that stops them in the opposite order; each gets until `deadlineMs`
 * after the call, all together, and one that fails or hangs does not keep the others from being stopped.
 */
export async function startAll(
  services: readonly Service[],
  report: (message: string) => void,
): Promise<(deadlineMs: number) => Promise<void>> {
  const started: Service[] = [];
  const stopAll = async (deadlineMs: number) => {
    const deadline = AbortSignal.timeout(deadlineMs);
    for (const service of started.toReversed()) {
      const hung = delay(deadlineMs, "hung", { signal: deadline, ref: false }).catch(() => "hung");
      const stopped = service.stop().catch((error: unknown) => {
        report(`${service.name} failed to stop: ${String(error)}`);
      });
      if ((await Promise.race([stopped, hung])) === "hung")
        report(`${service.name} did not stop in time.`);
    }
  };
  for (const service of services) {
    try {
      await service.start();
    } catch (error) {
      await stopAll(5_000);
      throw error;
    }
    started.push(service);
  }
  return stopAll;
}

/** Waits, or resolves early when `signal` fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/**
 * Runs `step` again and again until `signal` fires, `intervalMs` after each end. A step that throws is reported and does
 * not end the loop (invariant I11).
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
