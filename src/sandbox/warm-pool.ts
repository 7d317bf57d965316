import { AppError } from "../errors.ts";
import {
  type Guest,
  type GuestRequest,
  type GuestSetup,
  type PreparableSandbox,
  type PreparedGuest,
  type Sandbox,
  setupOf,
  startCold,
  type WaitingInterpreter,
} from "./sandbox.ts";

/*
 * Sandboxes that wait for jobs like those that came before, so that a job finds everything started. Each is used once. It is
 * made while there is a free slot, since under full load it would only take time from the jobs that it is to save time for;
 * the same work is done then, when a job is there. How many wait follows demand: a job that finds none raises the number,
 * a minute in which one was never needed lowers it. All together stay below a limit of memory, for which those go that were
 * not asked for the longest.
 *
 * An interpreter waits for a program of one name only, so that it is started ahead once that name has come up twice. For a
 * job with a name that has not, there may be a sandbox in which nothing but its supervisor waits.
 */

/** What a job was started on. */
type StartedOn = "interpreter" | "sandbox" | "nothing";

export interface WarmPoolOptions {
  /** Of all that wait, together. */
  readonly maxBytes: number;
  /** How many may wait at most, whatever they take. */
  readonly maxWaiting: number;
  /** Jobs at once: with so many running, nothing is started ahead. */
  readonly slots: number;
  readonly onStart?: (on: StartedOn) => void;
  /** One could not be made; the next is tried some seconds later. */
  readonly onError: (error: unknown) => void;
}

export interface WarmPool extends Sandbox {
  /** What waits; `wanted` of them are to, once there is time to start them, as far as memory goes. */
  waiting(): { readonly count: number; readonly bytes: number; readonly wanted: number };
  /** Takes down what waits; nothing more is made. Resolves when it is gone. */
  close(): Promise<void>;
}

/** From a job's start or end until what it took is replaced: its last words come first. */
const REFILL_DELAY_MS = 10;
/** After one that could not be made. */
const RETRY_DELAY_MS = 10_000;
/** How often demand is looked at. */
const REVIEW_INTERVAL_MS = 60_000;
/** What nobody has asked for in this time does not wait any longer. */
const FORGET_MS = 15 * 60_000;
/** Names come from outside: no more are remembered. */
const MAX_KINDS = 200;
/** Taken for the memory of a kind of which there has been none. */
const TYPICAL_BYTES = 8 * 1024 * 1024;

interface Spare {
  readonly guest: PreparedGuest;
  readonly bytes: number;
}

/** Sandboxes that are alike: one may take another's job. */
class Kind {
  readonly spares: Spare[] = [];
  /** Jobs that have asked for it. */
  uses = 0;
  /** How many are to wait. */
  wanted = 0;
  /** Of those that waited, how many were not needed since the last look at demand. */
  unneeded = Number.POSITIVE_INFINITY;
  usedAtMs = performance.now();
  typicalBytes = TYPICAL_BYTES;
  retryAtMs = 0;

  readonly setup: GuestSetup;
  readonly interpreter: WaitingInterpreter | undefined;

  constructor(setup: GuestSetup, interpreter: WaitingInterpreter | undefined) {
    this.setup = setup;
    this.interpreter = interpreter;
  }

  take(): Spare | undefined {
    const spare = this.spares.shift();
    this.unneeded = Math.min(this.unneeded, this.spares.length);
    return spare;
  }
}

export function createWarmPool(sandbox: PreparableSandbox, options: WarmPoolOptions): WarmPool {
  return new Pool(sandbox, options);
}

class Pool implements WarmPool {
  readonly #sandbox: PreparableSandbox;
  readonly #options: WarmPoolOptions;
  readonly #kinds = new Map<string, Kind>();
  readonly #review: NodeJS.Timeout;
  #running = 0;
  #refill: NodeJS.Timeout | undefined;
  #refilling: Promise<void> = Promise.resolve();
  #isRefilling = false;
  #isClosed = false;

  constructor(sandbox: PreparableSandbox, options: WarmPoolOptions) {
    this.#sandbox = sandbox;
    this.#options = options;
    this.#review = setInterval(() => this.#reviewDemand(), REVIEW_INTERVAL_MS);
    this.#review.unref();
  }

  selfTest() {
    return this.#sandbox.selfTest();
  }

  async start(request: GuestRequest): Promise<Guest> {
    this.#running += 1;
    this.#refillSoon();
    try {
      const guest = await this.#startOnSpare(request);
      void guest.exited.then(() => this.#ended());
      return guest;
    } catch (error) {
      this.#ended();
      throw error;
    }
  }

  waiting() {
    const kinds = [...this.#kinds.values()];
    const spares = kinds.flatMap((kind) => kind.spares);
    return {
      count: spares.length,
      bytes: spares.reduce((sum, { bytes }) => sum + bytes, 0),
      wanted: kinds.reduce((sum, { wanted }) => sum + wanted, 0),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#review);
    clearTimeout(this.#refill);
    await this.#refilling;
    const spares = [...this.#kinds.values()].flatMap((kind) => kind.spares.splice(0));
    this.#kinds.clear();
    await Promise.all(spares.map(({ guest }) => guest.destroy()));
  }

  async #startOnSpare(request: GuestRequest): Promise<Guest> {
    const { onStart } = this.#options;
    const taken = this.#take(request);
    if (taken !== null)
      try {
        const guest = await taken.spare.guest.run(request);
        onStart?.(taken.on);
        return guest;
      } catch (error) {
        // Whatever has become of it while it waited is not the job's fault.
        if (!(error instanceof AppError) || error.code !== "sandbox_error") throw error;
      }
    onStart?.("nothing");
    return startCold((setup) => this.#sandbox.prepare(setup), request);
  }

  /** One of the same kind, else one that can at least save the job its sandbox. */
  #take(request: GuestRequest): { readonly spare: Spare; readonly on: StartedOn } | null {
    // A way out is made for one job alone.
    if (this.#isClosed || request.proxySocket !== undefined) return null;
    const setup = setupOf(request);
    const plain = this.#kindOf(setup, undefined);
    const own =
      request.interpreter === undefined ? plain : this.#kindOf(setup, request.interpreter);
    own.uses += 1;
    own.usedAtMs = performance.now();
    const exact = own.take();
    if (exact !== undefined) return { spare: exact, on: own === plain ? "sandbox" : "interpreter" };
    const lacking = own.uses < 2 ? plain : own;
    lacking.usedAtMs = own.usedAtMs;
    lacking.wanted = Math.min(lacking.wanted + 1, this.#options.slots);
    const spare = plain.take();
    return spare === undefined ? null : { spare, on: "sandbox" };
  }

  #kindOf(setup: GuestSetup, interpreter: WaitingInterpreter | undefined): Kind {
    const key = JSON.stringify([setup, interpreter]);
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const kind = new Kind(setup, interpreter);
    this.#kinds.set(key, kind);
    if (this.#kinds.size > MAX_KINDS) this.#forgetOldest();
    return kind;
  }

  #forgetOldest(): void {
    const [oldest] = [...this.#kinds].sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
    if (oldest === undefined) return;
    const [key, { spares }] = oldest;
    this.#kinds.delete(key);
    for (const { guest } of spares.splice(0)) void guest.destroy();
  }

  #ended(): void {
    this.#running -= 1;
    this.#refillSoon();
  }

  #refillSoon(): void {
    if (this.#refill !== undefined || this.#isClosed) return;
    this.#refill = setTimeout(() => {
      this.#refill = undefined;
      if (this.#isRefilling) return;
      this.#isRefilling = true;
      this.#refilling = this.#refillAll().finally(() => {
        this.#isRefilling = false;
      });
    }, REFILL_DELAY_MS);
  }

  /** One after the other: nobody waits for them. */
  async #refillAll(): Promise<void> {
    for (;;) {
      const kind = this.#isClosed || this.#isBusy() ? undefined : this.#lacking();
      if (kind === undefined || !(await this.#makeRoomFor(kind))) return;
      try {
        await this.#add(kind);
      } catch (error) {
        kind.retryAtMs = performance.now() + RETRY_DELAY_MS;
        this.#options.onError(error);
      }
    }
  }

  #isBusy(): boolean {
    return this.#running >= this.#options.slots;
  }

  /** The kind that lacks one, the one that was asked for last. */
  #lacking(): Kind | undefined {
    const nowMs = performance.now();
    return [...this.#kinds.values()]
      .filter((kind) => kind.spares.length < kind.wanted && kind.retryAtMs <= nowMs)
      .sort((a, b) => b.usedAtMs - a.usedAtMs)[0];
  }

  /** Whether there is memory for one more, if need be in place of some that were asked for less lately. */
  async #makeRoomFor(kind: Kind): Promise<boolean> {
    const { maxBytes, maxWaiting } = this.#options;
    for (;;) {
      const { count, bytes } = this.waiting();
      if (count < maxWaiting && bytes + kind.typicalBytes <= maxBytes) return true;
      const oldest = [...this.#kinds.values()]
        .filter((other) => other.spares.length > 0 && other.usedAtMs < kind.usedAtMs)
        .sort((a, b) => a.usedAtMs - b.usedAtMs)[0];
      const spare = oldest?.spares.shift();
      if (oldest === undefined || spare === undefined) return false;
      oldest.wanted = Math.max(oldest.wanted - 1, 0);
      await spare.guest.destroy();
    }
  }

  async #add(kind: Kind): Promise<void> {
    const guest = await this.#sandbox.prepare(kind.setup);
    if (!(await guest.wait(kind.interpreter))) {
      await guest.destroy();
      throw new AppError("sandbox_error", "A sandbox that was to wait for a job has ended");
    }
    const spare = { guest, bytes: guest.memoryBytes() };
    kind.typicalBytes = spare.bytes;
    kind.spares.push(spare);
    void this.#dropOnceGone(kind, spare);
  }

  async #dropOnceGone({ spares }: Kind, spare: Spare): Promise<void> {
    await spare.guest.gone;
    const at = spares.indexOf(spare);
    if (at < 0) return;
    spares.splice(at, 1);
    await spare.guest.destroy();
  }

  #reviewDemand(): void {
    const nowMs = performance.now();
    for (const [key, kind] of this.#kinds) {
      const isForgotten = nowMs - kind.usedAtMs > FORGET_MS;
      const least = isForgotten ? 0 : 1;
      kind.wanted = Math.max(kind.wanted - Math.min(kind.unneeded, kind.spares.length), least);
      kind.unneeded = kind.spares.length;
      for (const { guest } of kind.spares.splice(kind.wanted)) void guest.destroy();
      if (isForgotten) this.#kinds.delete(key);
    }
  }
}
