import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

/** One connection to a database file, each SQL text of which is prepared once. Every call blocks its thread. */
export class Connection {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string, options: { readonly readOnly: boolean }) {
    this.path = path;
    this.#database = new DatabaseSync(path, { readOnly: options.readOnly });
  }

  /** false as soon as SQLite has rolled a transaction back by itself, which it does when the disk is full. */
  get isTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /** Does `work`, in which a statement fails (SQLITE_BUSY) or does less where it would have waited for another's lock. */
  withoutWaiting(work: () => void): void {
    const waitMs = this.get<{ timeout: number }>("PRAGMA busy_timeout")?.timeout ?? 0;
    this.exec("PRAGMA busy_timeout = 0");
    try {
      work();
    } finally {
      this.exec(`PRAGMA busy_timeout = ${waitMs.toString()}`);
    }
  }

  /** Runs statements that give no rows and are not worth keeping prepared. */
  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /** The first row, whose columns the caller's SQL names; undefined when there is none. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it is the SQL beside it that names the columns
  get<Row>(sql: string, ...values: readonly SQLInputValue[]): Row | undefined {
    return this.#prepared(sql).get(...values) as Row | undefined;
  }

  all<Row>(sql: string, ...values: readonly SQLInputValue[]): Row[] {
    return this.#prepared(sql).all(...values) as Row[];
  }

  /** Rows one at a time. Leave the loop at any time: what is not asked for is not read. */
  iterate<Row>(sql: string, ...values: readonly SQLInputValue[]): Iterable<Row> {
    return this.#prepared(sql).iterate(...values) as Iterable<Row>;
  }

  /** The number of rows changed. */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#prepared(sql).run(...values).changes);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
