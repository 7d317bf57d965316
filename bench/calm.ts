import { descendantsOf } from "./process-use.ts";

/*
 * A service goes on after a job: it takes the sandbox down, and starts others ahead some 40 ms later. Whoever measures
 * next, or looks at what a service has used, waits until it is through with that.
 */

/** It is through when it has neither started nor ended a process for so long. */
const CALM_MS = 1_500;
const LOOK_EVERY_MS = 100;

/** Resolves when a service has neither started nor ended a process for a while. */
export async function calm(pid: number): Promise<void> {
  let before = "";
  let calmSinceMs = performance.now();
  while (performance.now() - calmSinceMs < CALM_MS) {
    const now = descendantsOf(pid).join(" ");
    if (now !== before) calmSinceMs = performance.now();
    before = now;
    await Bun.sleep(LOOK_EVERY_MS);
  }
}
