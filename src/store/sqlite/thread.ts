/*
 * A thread with one connection to the database, so that no commit and no query holds up the main thread. Two of them run:
 * the writer owns the file (owner-lock.ts) and puts each list of calls into one transaction; the reader's queries see
 * the last commit and wait for none. SQLite's write-ahead log lets the two work at the same time.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { AppError, messageOf } from "../../errors.ts";
import type { SweepAnswer } from "../store.ts";
import type { Connection } from "./connection.ts";
import { failureOf, type Perform } from "./group-commit.ts";
import {
  type Call,
  type CallResult,
  type Failure,
  type FromThread,
  NOTHING_RECOVERED,
  type ThreadStart,
  type ToThread,
} from "./messages.ts";
import { READS, WRITES } from "./operations.ts";
import { takeOwnership } from "./owner-lock.ts";
import { commitWithReserve, Reserve } from "./reserve.ts";
import { openForReading, openForWriting } from "./schema.ts";

/** Tells what a call comes to that is not committed yet. */
type TellAhead = (call: Call, value: unknown) => void;

interface OpenDatabase {
  readonly recovered: SweepAnswer;
  readonly perform: (calls: readonly Call[], tellAhead: TellAhead) => readonly CallResult[];
  readonly close: () => void;
}

function openWriter(path: string): OpenDatabase {
  const lock = takeOwnership(path);
  try {
    const reserve = new Reserve(path);
    const { db, recovered } = openForWriting(path, () => reserve.spend());
    const perform = performer(WRITES);
    return {
      recovered,
      perform: (calls, tellAhead) =>
        commitWithReserve(db, calls, { perform: tellingAhead(perform, tellAhead), reserve }),
      close: () => {
        db.close();
        reserve.close();
        lock.close();
      },
    };
  } catch (error) {
    // The end of a thread does not drop the locks of its process.
    lock.close();
    throw error;
  }
}

function openReader(path: string): OpenDatabase {
  const db = openForReading(path);
  const perform = performer(READS);
  const answer = (call: Call): CallResult => {
    try {
      return { ok: true, value: perform(db, call) };
    } catch (error) {
      return { ok: false, failure: failureOf(error) };
    }
  };
  return {
    recovered: NOTHING_RECOVERED,
    perform: (calls) => calls.map(answer),
    close: () => db.close(),
  };
}

/** Finds operations by name. The types of names and arguments hold because ThreadLink.call is the only sender. */
function performer(operations: Readonly<Record<string, unknown>>): Perform {
  const table = new Map(Object.entries(operations)) as ReadonlyMap<
    string,
    (db: Connection, argument: unknown) => unknown
  >;
  return (db, call) => {
    const operation = table.get(call.operation);
    if (operation === undefined) throw new Error(`There is no operation ${call.operation}`);
    return operation(db, call.argument);
  };
}

/**
 * What was told ahead is what the call comes to, or nothing: on a full disk calls are done again (group-commit.ts), and the same
 * claim would then be another one.
 */
function tellingAhead(perform: Perform, tellAhead: TellAhead): Perform {
  const told = new Set<Call>();
  return (db, call) => {
    if (told.has(call)) throw new AppError("storage_full", "The disk of the job store is full");
    const value = perform(db, call);
    if (call.isToldAhead !== true) return value;
    told.add(call);
    tellAhead(call, value);
    return undefined;
  };
}

/** Whatever keeps the file from being opened, e.g. a directory in its place, is for the operator to mend. */
function openingFailure(path: string, error: unknown): Failure {
  const failure = failureOf(error);
  if (failure.code !== "internal") return failure;
  return {
    code: "store_unavailable",
    message: `The job store ${path} cannot be opened: ${messageOf(error)}`,
  };
}

function serve(port: MessagePort, start: ThreadStart): void {
  const say = (message: FromThread) => port.postMessage(message);
  let database: OpenDatabase;
  try {
    database = start.role === "write" ? openWriter(start.path) : openReader(start.path);
  } catch (error) {
    say({ kind: "refused", failure: openingFailure(start.path, error) });
    return;
  }
  port.on("message", (message: ToThread) => {
    if (message.kind === "calls") {
      const { calls } = message;
      const tellAhead: TellAhead = (call, value) =>
        say({ kind: "ahead", index: calls.indexOf(call), value });
      say({ kind: "results", results: database.perform(calls, tellAhead) });
      return;
    }
    database.close();
    say({ kind: "closed" });
    port.close();
  });
  say({ kind: "opened", recovered: database.recovered });
}

if (parentPort !== null) serve(parentPort, workerData as ThreadStart);
