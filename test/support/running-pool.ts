import { eventually } from "../contract/store-harness.ts";
import { runPython } from "./client.ts";
import { Scrape } from "./prometheus-text.ts";

/*
 * The warm pool of a service that runs, as its metrics show it.
 */

async function scrape(url: string): Promise<Scrape> {
  return new Scrape(await (await fetch(`${url}/metrics`)).text());
}

/** How many jobs it has started on this: interpreter, sandbox or nothing. */
export async function startsOn(url: string, on: string): Promise<number> {
  return (await scrape(url)).sum("jobrunner_sandbox_starts_total", { on });
}

async function waitingCount(url: string): Promise<number> {
  return (await scrape(url)).sum("jobrunner_waiting_sandboxes");
}

/** Resolves once all wait that are to, of which there may be so many. */
export async function poolIsFull(url: string, atMost = Number.POSITIVE_INFINITY): Promise<void> {
  await eventually(
    () => scrape(url),
    (seen) => {
      const wanted = Math.min(seen.sum("jobrunner_wanted_sandboxes"), atMost);
      return seen.sum("jobrunner_waiting_sandboxes") >= wanted;
    },
  );
}

/** Resolves once so many wait: more jobs at once than there are sandboxes for have the service want more. */
export async function fillPool(url: string, count: number): Promise<void> {
  while ((await waitingCount(url)) < count) {
    await Promise.all(Array.from({ length: count }, () => runPython(url, "print('at once')")));
    await poolIsFull(url, count);
  }
}
