import { closeSync, openSync } from "node:fs";
import { AppError } from "../../errors.ts";
import { Connection } from "./connection.ts";
import type { SweepAnswer } from "../store.ts";
import { failureOf } from "./group-commit.ts";
import { recoverAll } from "./handback.ts";

const SCHEMA_VERSION = 7;

/*
 * `job` holds what changes, in small rows: every append writes one. What a submit fixes for good may be a megabyte of
 * stdin and lives in `spec`. Both, and the log's chunks, are keyed by `n`, which is never used twice: a removed job's
 * chunks are out of reach at once and can be deleted later, also when its id is submitted again. It is also the order in
 * which queued jobs of one priority wait, so a job that is handed back has its old place again.
 *
 * `chunk` is a table with rowids, for large rows clustered by a key make every lookup walk over them.
 */
const TABLES = `
CREATE TABLE job (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  priority INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  epoch INTEGER NOT NULL DEFAULT 0,
  epochs TEXT NOT NULL DEFAULT '[]',
  owner TEXT,
  slot INTEGER,
  token TEXT,
  crashes INTEGER NOT NULL DEFAULT 0,
  retry_reason TEXT,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  log_bytes INTEGER NOT NULL DEFAULT 0,
  log_dropped_bytes INTEGER NOT NULL DEFAULT 0,
  finished_by_claim INTEGER NOT NULL DEFAULT 0,
  outcome TEXT
) STRICT;
CREATE INDEX job_running ON job (owner) WHERE state = 'running';
CREATE INDEX job_ended ON job (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX job_by_state ON job (state, n);
CREATE TABLE spec (
  n INTEGER PRIMARY KEY,
  submitted TEXT NOT NULL
) STRICT;
CREATE TABLE chunk (
  chunk_id INTEGER PRIMARY KEY,
  n INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  payload_bytes INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunk_by_entry ON chunk (n, epoch, seq);
CREATE TABLE trash (
  n INTEGER PRIMARY KEY
) STRICT;
CREATE TABLE worker (
  owner TEXT PRIMARY KEY,
  seen_at INTEGER NOT NULL,
  info TEXT NOT NULL
) STRICT;
`;

/** `once` holds what Store.submitOnce remembers: the job that was stored under a client's key. Came with version 3. */
const ONCE_TABLE = `
CREATE TABLE once (
  key TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  n INTEGER NOT NULL,
  stored_at INTEGER NOT NULL
) STRICT;
CREATE INDEX once_by_age ON once (stored_at);
`;

/** A job that is removed takes its key with it. Came with version 4. */
const ONCE_BY_JOB = `
CREATE INDEX once_by_job ON once (n);
`;

/** The queues: a claim takes the first of each into account, a place in them is counted in the index alone. As of version 5. */
const QUEUE_INDEX = `
DROP INDEX IF EXISTS job_queued;
CREATE INDEX job_queued ON job (priority DESC, n, created_at) WHERE state = 'queued';
`;

/**
 * Whose a job is, the listing of one API key's jobs, those of them that count as active, and what is counted of a key in
 * windows (quota.ts). Came with version 6.
 */
const API_KEYS = `
ALTER TABLE job ADD COLUMN key_id TEXT;
CREATE INDEX job_by_key ON job (key_id, created_at, id) WHERE key_id IS NOT NULL;
CREATE INDEX job_active_by_key ON job (key_id) WHERE key_id IS NOT NULL AND finished_at IS NULL;
CREATE TABLE key_use (
  key_id TEXT NOT NULL,
  counted TEXT NOT NULL,
  used INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  PRIMARY KEY (key_id, counted)
) STRICT;
`;

/** Whom to tell of a job's end (callbacks.ts). Came with version 7. */
const CALLBACKS = `
CREATE TABLE callback (
  n INTEGER PRIMARY KEY,
  due_at INTEGER,
  attempt INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX callback_due ON callback (due_at) WHERE due_at IS NOT NULL;
`;

/** What brings a file of an older version to this one; a file of a version that is not listed cannot be. */
const MIGRATIONS: ReadonlyMap<number, string> = new Map([
  [0, TABLES + ONCE_TABLE + ONCE_BY_JOB + QUEUE_INDEX + API_KEYS + CALLBACKS],
  [2, ONCE_TABLE + ONCE_BY_JOB + QUEUE_INDEX + API_KEYS + CALLBACKS],
  [3, ONCE_BY_JOB + QUEUE_INDEX + API_KEYS + CALLBACKS],
  [4, QUEUE_INDEX + API_KEYS + CALLBACKS],
  [5, API_KEYS + CALLBACKS],
  [6, CALLBACKS],
]);

/** How long a statement waits for a lock that somebody else's tool holds, e.g. a backup. */
const BUSY_TIMEOUT_MS = 5_000;
/** The write-ahead log is cut back to this after a checkpoint, so that one burst does not keep its size for good. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

interface OpenedForWriting {
  readonly db: Connection;
  /** The jobs that were running in the file, and what became of them. */
  readonly recovered: SweepAnswer;
}

/**
 * Opens the one writing connection. Creates the tables in a new file; in an old one, decides for what was running:
 * whoever ran it owned the file before this process and is gone. On a full disk that is done with what `makeRoom` sets
 * free. Throws AppError or what SQLite says.
 */
export function openForWriting(
  path: string,
  makeRoom: () => void = () => undefined,
): OpenedForWriting {
  // Specs hold users' secrets (env, stdin). SQLite gives the -wal and -shm files the mode of this one.
  closeSync(openSync(path, "a", 0o600));
  const db = new Connection(path, { readOnly: false });
  try {
    setUp(db);
    prepareTables(db, path);
    return { db, recovered: recoverWithRoom(db, makeRoom) };
  } catch (error) {
    db.close();
    throw error;
  }
}

function recoverWithRoom(db: Connection, makeRoom: () => void): SweepAnswer {
  try {
    return recover(db);
  } catch (error) {
    if (failureOf(error).code !== "storage_full") throw error;
    makeRoom();
    return recover(db);
  }
}

function recover(db: Connection): SweepAnswer {
  db.exec("BEGIN IMMEDIATE");
  try {
    const recovered = recoverAll(db);
    db.exec("COMMIT");
    return recovered;
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

function setUp(db: Connection): void {
  db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS.toString()}`);
  db.exec("PRAGMA journal_mode = WAL");
  // NORMAL would lose acknowledged commits with the host (https://sqlite.org/pragma.html#pragma_synchronous).
  db.exec("PRAGMA synchronous = FULL");
  db.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES.toString()}`);
}

function prepareTables(db: Connection, path: string): void {
  const version = db.get<{ user_version: number }>("PRAGMA user_version")?.user_version ?? -1;
  if (version === SCHEMA_VERSION) return;
  const migration = MIGRATIONS.get(version);
  if (migration === undefined)
    throw new AppError(
      "store_unavailable",
      `The job store ${path} has schema version ${String(version)}, this program reads version ${SCHEMA_VERSION.toString()}; use the program that wrote it, or another data directory`,
    );
  db.exec(
    `BEGIN IMMEDIATE; ${migration} PRAGMA user_version = ${SCHEMA_VERSION.toString()}; COMMIT`,
  );
}

/** Opens a connection that sees every commit made before each of its statements. The file must have been opened for writing. */
export function openForReading(path: string): Connection {
  const db = new Connection(path, { readOnly: true });
  db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS.toString()}`);
  return db;
}
