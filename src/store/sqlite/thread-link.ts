import { Worker } from "node:worker_threads";
import { AppError } from "../../errors.ts";
import type { Connection } from "./connection.ts";
import type { SweepAnswer } from "../store.ts";
import type { Call, CallResult, Failure, FromThread, ThreadStart, ToThread } from "./messages.ts";

/** Operations by name, as a thread has them. */
type OperationTable<T> = {
  readonly [Name in keyof T]: (db: Connection, argument: never) => unknown;
};

type Argument<Operation> = Operation extends (db: Connection, argument: infer A) => unknown
  ? A
  : never;

type Answer<Operation> = Operation extends (...all: never) => infer R ? R : never;

interface PendingCall extends Call {
  readonly onAhead: ((value: unknown) => void) | undefined;
  /** What it comes to if it succeeds, once that was told. */
  told?: { readonly value: unknown };
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The main thread's end of a database thread. One list of calls is under way at a time; what is asked for meanwhile
 * makes the next list. So a lone call goes at once, and many share one transaction without anybody waiting on purpose.
 */
export class ThreadLink<Operations extends OperationTable<Operations>> {
  readonly #worker: Worker;
  readonly #onDeath: (error: AppError) => void;
  readonly #opened = Promise.withResolvers<SweepAnswer>();
  readonly #ended = Promise.withResolvers<void>();
  #waiting: PendingCall[] = [];
  #underWay: readonly PendingCall[] | null = null;
  /** Why no call can be made any more; null while they can. */
  #unusable: Failure | null = null;
  #isOpen = false;
  #isClosing = false;

  /** Listens before anything else happens: a thread may end before its first word, or right after it. */
  private constructor(worker: Worker, onDeath: (error: AppError) => void) {
    this.#worker = worker;
    this.#onDeath = onDeath;
    worker.on("message", (message: FromThread) => {
      this.#receive(message);
    });
    worker.on("error", (error: Error) => {
      this.#fail(`The thread of the job store has failed: ${error.message}`);
    });
    worker.on("exit", () => {
      this.#fail("The thread of the job store has ended");
    });
  }

  /**
   * Starts a thread and waits until its database is open. `onDeath` is called once if the thread ends after that, unless
   * it was told to: from then on every call rejects.
   * @throws AppError `store_unavailable` or `storage_full`, with a sentence that says why it is not open.
   */
  static async open<Operations extends OperationTable<Operations>>(
    start: ThreadStart,
    onDeath: (error: AppError) => void,
  ): Promise<ThreadLink<Operations>> {
    const worker = new Worker(new URL("./thread.ts", import.meta.url), { workerData: start });
    const link = new ThreadLink<Operations>(worker, onDeath);
    try {
      await link.#opened.promise;
    } catch (error) {
      await worker.terminate();
      throw error;
    }
    return link;
  }

  /** What became of the jobs that were running in the file when the thread opened it. */
  async recovered(): Promise<SweepAnswer> {
    return await this.#opened.promise;
  }

  /**
   * Rejects with AppError: `storage_full`, `store_unavailable` (also once closed) or `internal`. `onAhead` is told what the call
   * comes to while that is still being committed: it comes to nothing else, but it may yet fail. The call rejects with what
   * `onAhead` throws.
   */
  async call<Name extends keyof Operations & string>(
    operation: Name,
    argument: Argument<Operations[Name]>,
    onAhead?: (value: Answer<Operations[Name]>) => void,
  ): Promise<Answer<Operations[Name]>> {
    if (this.#unusable !== null) throw toError(this.#unusable);
    const value = await new Promise<unknown>((resolve, reject) => {
      const tell = onAhead as PendingCall["onAhead"];
      this.#waiting.push({ operation, argument, onAhead: tell, resolve, reject });
      // Not at once: calls made in this same turn, or by who is woken in it, shall share the list.
      setImmediate(() => {
        this.#sendNext();
      });
    });
    return value as Answer<Operations[Name]>;
  }

  /** Waits for the calls made before it, then ends the thread. Idempotent. */
  async close(): Promise<void> {
    this.#unusable ??= { code: "store_unavailable", message: "The job store is closed" };
    this.#isClosing = true;
    this.#sendNext();
    await this.#ended.promise;
    await this.#worker.terminate();
  }

  #sendNext(): void {
    if (this.#underWay !== null) return;
    if (this.#waiting.length > 0) {
      this.#underWay = this.#waiting;
      this.#waiting = [];
      const calls = this.#underWay.map(({ operation, argument, onAhead }) => {
        return { operation, argument, isToldAhead: onAhead !== undefined };
      });
      this.#post({ kind: "calls", calls });
    } else if (this.#isClosing) {
      this.#underWay = [];
      this.#post({ kind: "close" });
    }
  }

  #post(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window: there is no origin
    this.#worker.postMessage(message);
  }

  #receive(message: FromThread): void {
    switch (message.kind) {
      case "opened":
        this.#isOpen = true;
        return this.#opened.resolve(message.recovered);
      case "refused":
        return this.#opened.reject(toError(message.failure));
      case "ahead":
        return tellAhead(this.#underWay?.[message.index], message.value);
      case "results":
        return this.#settle(message.results);
      case "closed":
        return this.#ended.resolve();
    }
  }

  #settle(results: readonly CallResult[]): void {
    const answered = this.#underWay ?? [];
    this.#underWay = null;
    for (const [index, call] of answered.entries()) settle(call, results[index]);
    this.#sendNext();
  }

  /** Nobody will answer any more. */
  #fail(message: string): void {
    const error = new AppError("store_unavailable", message);
    this.#opened.reject(error);
    const isNews = this.#isOpen && this.#unusable === null;
    this.#unusable ??= { code: "store_unavailable", message };
    const orphans = [...(this.#underWay ?? []), ...this.#waiting];
    this.#underWay = [];
    this.#waiting = [];
    for (const call of orphans) call.reject(error);
    this.#ended.resolve();
    if (isNews) this.#onDeath(error);
  }
}

function tellAhead(call: PendingCall | undefined, value: unknown): void {
  if (call === undefined) return;
  call.told = { value };
  try {
    call.onAhead?.(value);
  } catch (error) {
    call.reject(error);
  }
}

function settle(call: PendingCall, result: CallResult | undefined): void {
  if (result?.ok === true) call.resolve((call.told ?? result).value);
  else call.reject(toError(result?.failure ?? { code: "internal", message: "No answer" }));
}

function toError({ code, message, ...options }: Failure): AppError {
  return new AppError(code, message, options);
}
