import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  statfsSync,
  writeSync,
} from "node:fs";

import type { Connection } from "./connection.ts";
import { commitTogether, type Perform } from "./group-commit.ts";
import type { Call, CallResult } from "./messages.ts";

/*
 * Disk space held back for what must be possible on a full disk: that jobs end, and that what has expired goes. A file of
 * zeros holds it. When an end finds no room the file is emptied, and until it can be filled again everything else is
 * refused, so that nothing but ends gets that room.
 */

/**
 * An end writes a few pages of 4 KiB. But before the write-ahead log can be used anew it has to be folded into the
 * database, which may grow by as much: by 1,000 pages (https://sqlite.org/pragma.html#pragma_wal_autocheckpoint). Twice
 * that leaves room for the ends.
 */
export const RESERVE_BYTES = 8 * 1024 * 1024;
/** A disk that was full is tried again no more often than this. */
const REFILL_INTERVAL_MS = 2_000;
/** What is left of the disk for whatever else writes there when the reserve is filled. */
export const MARGIN_BYTES = 1024 * 1024;
const BLOCK = new Uint8Array(64 * 1024);

/** What may use the reserve: operations that end a job, hand it back or make room. */
const MAY_SPEND: ReadonlySet<string> = new Set([
  "finish",
  "purge",
  "release",
  "releaseOwner",
  "remove",
  "requestCancel",
  "settleCallback",
]);

/** The file of RESERVE_BYTES zeros, whole or empty: held back, or spent until there is room to fill it again. */
export class Reserve {
  readonly #path: string;
  readonly #file: number;
  #isWhole = false;
  #triedAtMs = Number.NEGATIVE_INFINITY;

  /** Opens the file beside the database, and fills it where there is room. Throws what opening a file throws. */
  constructor(databasePath: string) {
    this.#path = `${databasePath}.reserve`;
    this.#file = openSync(this.#path, "a+", 0o600);
    this.#isWhole = fstatSync(this.#file).size === RESERVE_BYTES;
    this.refill(() => undefined);
  }

  /** Whether the space is held back now; where it is not, tries to get it, after `makeRoom`. */
  refill(makeRoom: () => void): boolean {
    if (this.#isWhole || performance.now() - this.#triedAtMs < REFILL_INTERVAL_MS)
      return this.#isWhole;
    this.#triedAtMs = performance.now();
    makeRoom();
    try {
      const { bavail, bsize } = statfsSync(this.#path);
      if (bavail * bsize < RESERVE_BYTES + MARGIN_BYTES) return false;
      ftruncateSync(this.#file, 0);
      for (let bytes = 0; bytes < RESERVE_BYTES; bytes += BLOCK.length)
        writeSync(this.#file, BLOCK);
      // Some file systems find the room for what is written only here.
      fdatasyncSync(this.#file);
      this.#isWhole = true;
    } catch {
      // Full: what was got is given back.
      this.#empty();
    }
    return this.#isWhole;
  }

  /** Gives the space back to the disk. */
  spend(): void {
    this.#isWhole = false;
    this.#empty();
  }

  /** Some file systems need room even for that, and have none: then there is nothing gained. */
  #empty(): void {
    try {
      ftruncateSync(this.#file, 0);
    } catch {
      // Nothing is gained then.
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** As commitTogether, on a disk that may be full: ends are stored all the same, and before anything else. */
export function commitWithReserve(
  db: Connection,
  calls: readonly Call[],
  { perform, reserve }: { readonly perform: Perform; readonly reserve: Reserve },
): readonly CallResult[] {
  const results = new Map<Call, CallResult>();
  const commit = (some: readonly Call[]) => {
    if (some.length === 0) return;
    for (const [index, result] of commitTogether(db, some, perform).entries()) {
      const call = some[index];
      if (call !== undefined) results.set(call, result);
    }
  };
  commit(reserve.refill(() => foldLog(db)) ? calls : calls.filter(maySpend));
  const spend = () => {
    reserve.spend();
    foldLog(db);
  };
  for (const makeRoom of [() => foldLog(db), spend]) {
    const unstored = calls.filter((call) => maySpend(call) && isFull(results.get(call)));
    if (unstored.length === 0) break;
    makeRoom();
    commit(unstored);
  }
  return calls.map((call) => results.get(call) ?? REFUSED);
}

/**
 * Folds the write-ahead log into the database and cuts it off: it holds a page as often as it was written, the database
 * just once. Where a reader or the full disk is in the way, as much as can be: a transaction that somebody's tool has open
 * keeps the log from being cut for as long as it likes, and ends are not to wait for that.
 */
function foldLog(db: Connection): void {
  try {
    db.withoutWaiting(() => db.exec("PRAGMA wal_checkpoint(TRUNCATE)"));
  } catch {
    // What did not fit stays where it was.
  }
}

const REFUSED: CallResult = {
  ok: false,
  failure: { code: "storage_full", message: "The disk of the job store is full" },
};

function maySpend({ operation }: Call): boolean {
  return MAY_SPEND.has(operation);
}

function isFull(result: CallResult | undefined): boolean {
  return result?.ok === false && result.failure.code === "storage_full";
}
