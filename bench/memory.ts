import { residentBytes } from "../test/faults/memory.ts";
import { startBareServer } from "./bare-server.ts";
import type { Bench } from "./bench.ts";
import { type Deployment, startDeployment, storesHere, withDeployments } from "./deployment.ts";
import { descendantsOf, proportionalBytes } from "./process-use.ts";
import type { Row } from "./table.ts";

/*
 * What the service takes while nobody asks for anything: its own process, and what stands ready for the next job, by the
 * slot. Of processes that share their libraries each has its part (PSS).
 */

const FEW_SLOTS = 1;
const MANY_SLOTS = 9;
/** What stands ready is complete when nothing has been added for so long. */
const CALM_MS = 1_500;
const LOOK_EVERY_MS = 100;
const MEBIBYTE = 1024 * 1024;

export async function measureMemory(bench: Bench): Promise<readonly Row[]> {
  bench.say("memory");
  const bare = await startBareServer();
  const yardstick = { name: "bare Bun.serve", value: residentBytes(bare.pid) / MEBIBYTE };
  await bare.stop();
  const rows: Row[] = [];
  for (const store of storesHere) {
    const starts = [FEW_SLOTS, MANY_SLOTS].map(
      (slots) => () => startDeployment(store, { WORKER_CONCURRENCY: String(slots) }),
    );
    rows.push(
      ...(await withDeployments(starts, async ([few, many]) => {
        if (few === undefined || many === undefined) return [];
        const [fewAtRest, manyAtRest] = [await atRest(few, bench), await atRest(many, bench)];
        const slots = MANY_SLOTS - FEW_SLOTS;
        return [
          {
            what: `memory of the service at rest, ${store}`,
            unit: "MiB",
            value: fewAtRest.service,
            yardstick,
          },
          {
            what: `memory of an idle slot, what stands ready for it included, ${store}`,
            unit: "MiB",
            value: (manyAtRest.all - fewAtRest.all) / slots,
          },
        ];
      })),
    );
  }
  return rows;
}

/** MiB of the service's own process (RSS), and of it with all that it has started (PSS). */
async function atRest(
  { service: { pid } }: Deployment,
  { isQuick }: Bench,
): Promise<{ readonly service: number; readonly all: number }> {
  let before = "";
  let calmSinceMs = performance.now();
  while (performance.now() - calmSinceMs < (isQuick ? LOOK_EVERY_MS : CALM_MS)) {
    const now = descendantsOf(pid).join(" ");
    if (now !== before) calmSinceMs = performance.now();
    before = now;
    await Bun.sleep(LOOK_EVERY_MS);
  }
  return {
    service: residentBytes(pid) / MEBIBYTE,
    all: proportionalBytes([pid, ...descendantsOf(pid)]) / MEBIBYTE,
  };
}
