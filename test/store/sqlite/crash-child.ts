/*
 * Works on the store in the file named by its argument until it is killed. Prints a line of JSON after each step that the
 * store has acknowledged, so that whoever kills it knows what must still be there.
 */
import { writeSync } from "node:fs";
import { openSqliteStore } from "../../../src/store/sqlite/open.ts";
import {
  appendText,
  claimAny,
  EMPTY_LOG,
  newJob,
  SUCCEEDED,
} from "../../contract/store-harness.ts";

/** What the child has been told is done. */
export type Acknowledgement =
  | { readonly kind: "submitted" | "finished" | "removed"; readonly id: string }
  | {
      readonly kind: "appended";
      readonly id: string;
      readonly epoch: number;
      readonly seq: number;
      readonly text: string;
    };

/** Enough lanes that calls of several share a transaction. */
const LANES = 8;
const ENTRIES_PER_JOB = 3;

function acknowledge(line: Acknowledgement): void {
  // In one synchronous write: what the parent reads is what was acknowledged before the kill.
  writeSync(1, `${JSON.stringify(line)}\n`);
}

async function work(path: string): Promise<void> {
  const store = await openSqliteStore({ path });
  const lane = async (number: number): Promise<never> => {
    const owner = `lane-${number.toString()}`;
    for (;;) {
      const { id: submitted } = await store.submit(newJob());
      acknowledge({ kind: "submitted", id: submitted });
      const job = await claimAny(store, owner);
      if (job === null) continue;
      const lease = { id: job.id, epoch: job.epoch, owner };
      for (let seq = 1; seq <= ENTRIES_PER_JOB; seq += 1) {
        const text = `${job.id} ${seq.toString()} `.repeat(100 * number + 1);
        await appendText(store, lease, { seq, text });
        acknowledge({ kind: "appended", id: job.id, epoch: job.epoch, seq, text });
      }
      await store.finish({
        ...lease,
        outcome: SUCCEEDED,
        lastSeq: ENTRIES_PER_JOB,
        log: EMPTY_LOG,
      });
      acknowledge({ kind: "finished", id: job.id });
      if (number % 4 !== 0) continue;
      await store.remove(job.id);
      acknowledge({ kind: "removed", id: job.id });
    }
  };
  await Promise.all(Array.from({ length: LANES }, async (_, number) => await lane(number)));
}

const path = process.argv[2];
if (import.meta.main && path !== undefined) await work(path);
