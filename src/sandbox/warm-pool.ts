import { availableParallelism } from "node:os";

import { AppError } from "../errors.ts";
import { beforeDeadline, LATE } from "./deadline.ts";
import { createQuiet } from "./quiet.ts";
import {
  BrokenSandbox,
  type Guest,
  type GuestRequest,
  type PreparableSandbox,
  type PreparedGuest,
  type Sandbox,
  setupOf,
  startCold,
} from "./sandbox.ts";
import { type Kind, LEAST_BYTES, type Spare } from "./warm-kind.ts";
import { Kinds, type Room } from "./warm-kinds.ts";

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

/** `maxBytes`: each counts as LEAST_BYTES at least. */
export interface WarmPoolOptions extends Room {
  /** Jobs at once: with so many running, nothing is started ahead, and no more of one kind are wanted. */
  readonly slots: number;
  /** A job's program was started. */
  readonly onStart?: (on: StartedOn) => void;
  /**
   * One could not be made, in which case the next is tried some seconds later; or it broke as it got its job, which was started
   * without it; or it could not be taken down.
   */
  readonly onError: (error: unknown) => void;
  /** Absent: as below. */
  readonly timing?: Partial<WarmPoolTiming>;
}

interface WarmPoolTiming {
  /** From a job's end until what it took is replaced: its last words come first. */
  readonly quietAfterEndMs: number;
  /** The same from the last start: where jobs start more often than this, there is no time to save any for them. */
  readonly quietAfterStartMs: number;
  /** The longest that one may take to come up. */
  readonly readyMs: number;
  /** After one that could not be made. */
  readonly retryDelayMs: number;
  /** How often demand is looked at. */
  readonly reviewIntervalMs: number;
  /** What nobody has asked for in this time does not wait any longer. */
  readonly forgetMs: number;
}

/**
 * Starting one ahead takes one core some tens of ms. On two cores jobs that come every 40 ms have a use for that core
 * themselves; on 64 it is a small part of what is there, and the same pause would keep anything from ever being warm.
 */
const QUIET_AFTER_START_CORE_MS = 80;

const TIMING: WarmPoolTiming = {
  quietAfterEndMs: 10,
  quietAfterStartMs: QUIET_AFTER_START_CORE_MS / availableParallelism(),
  readyMs: 10_000,
  retryDelayMs: 10_000,
  reviewIntervalMs: 60_000,
  forgetMs: 15 * 60_000,
};

export interface WarmPool extends Sandbox {
  /** What waits; `wanted` of them are to, once there is time to start them, as far as memory goes. */
  waiting(): { readonly count: number; readonly bytes: number; readonly wanted: number };
  /** Takes down what waits; nothing more is made. Resolves when it is gone. */
  close(): Promise<void>;
}

export function createWarmPool(sandbox: PreparableSandbox, options: WarmPoolOptions): WarmPool {
  return new Pool(sandbox, options);
}

class Pool implements WarmPool {
  readonly #sandbox: PreparableSandbox;
  readonly #options: WarmPoolOptions;
  readonly #timing: WarmPoolTiming;
  readonly #kinds = new Kinds(({ guest }) => this.#takeDown(guest));
  readonly #review: NodeJS.Timeout;
  /** What is being taken down: it still has its memory and its uid. */
  readonly #leaving = new Set<Promise<void>>();
  #running = 0;
  readonly #quiet = createQuiet(() => this.#refillWhenQuiet());
  #refilling: Promise<void> = Promise.resolve();
  #isRefilling = false;
  #isClosed = false;

  constructor(sandbox: PreparableSandbox, options: WarmPoolOptions) {
    this.#sandbox = sandbox;
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#review = setInterval(() => this.#reviewDemand(), this.#timing.reviewIntervalMs);
    this.#review.unref();
  }

  selfTest() {
    return this.#sandbox.selfTest();
  }

  async start(request: GuestRequest): Promise<Guest> {
    this.#running += 1;
    this.#quiet.disturb(this.#timing.quietAfterStartMs);
    try {
      const guest = await this.#startOnSpare(request);
      const ended = () => this.#ended();
      void guest.exited.then(ended, ended);
      return guest;
    } catch (error) {
      this.#ended();
      throw error;
    }
  }

  waiting() {
    return this.#kinds.waiting();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#review);
    this.#quiet.stop();
    await this.#refilling;
    this.#kinds.forgetAll();
    await Promise.all(this.#leaving);
  }

  async #startOnSpare(request: GuestRequest): Promise<Guest> {
    const { onStart, onError } = this.#options;
    const taken = this.#take(request);
    if (taken !== null)
      try {
        const guest = await taken.spare.guest.run(request);
        onStart?.(taken.on);
        return guest;
      } catch (error) {
        // Whatever has become of it while it waited is not the job's fault. What is would happen again.
        if (!(error instanceof BrokenSandbox)) throw error;
        onError(error);
      }
    const guest = await startCold((setup) => this.#sandbox.prepare(setup), request);
    onStart?.("nothing");
    return guest;
  }

  /** One of the same kind, else one that can at least save the job its sandbox. */
  #take(request: GuestRequest): { readonly spare: Spare; readonly on: StartedOn } | null {
    // A way out is made for one job alone.
    if (this.#isClosed || request.proxySocket !== undefined) return null;
    const setup = setupOf(request);
    const plain = this.#kinds.find(setup, undefined);
    const own =
      request.interpreter === undefined ? plain : this.#kinds.find(setup, request.interpreter);
    own.uses += 1;
    own.usedAtMs = performance.now();
    const exact = own.take();
    if (exact !== undefined) return { spare: exact, on: own === plain ? "sandbox" : "interpreter" };
    const spare = plain.take();
    const isNameUsual = own.uses >= 2;
    if (!isNameUsual) plain.usedAtMs = own.usedAtMs;
    if (isNameUsual) own.wantMore(this.#options.slots);
    else if (spare === undefined) plain.wantMore(this.#options.slots);
    return spare === undefined ? null : { spare, on: "sandbox" };
  }

  #takeDown(guest: PreparedGuest): void {
    const leaving = guest
      .destroy()
      .catch(this.#options.onError)
      .finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  #ended(): void {
    this.#running -= 1;
    this.#quiet.disturb(this.#timing.quietAfterEndMs);
  }

  #refillWhenQuiet(): void {
    if (this.#isRefilling) return;
    this.#isRefilling = true;
    this.#refilling = this.#refillAll().finally(() => {
      this.#isRefilling = false;
    });
  }

  /** One after the other: nobody waits for them. */
  async #refillAll(): Promise<void> {
    const passedOver = new Set<Kind>();
    for (;;) {
      const isDone = this.#isClosed || this.#isBusy();
      const kind = isDone ? undefined : this.#kinds.lacking(passedOver);
      if (kind === undefined) return;
      if (!(await this.#refill(kind))) passedOver.add(kind);
    }
  }

  /** Whether one more waits, if need be in place of some that were asked for less lately. */
  async #refill(kind: Kind): Promise<boolean> {
    const displaced = this.#kinds.makeRoomFor(kind, this.#options);
    if (displaced === null) return false;
    await Promise.all(this.#leaving);
    try {
      if (!(await this.#add(kind))) return false;
    } catch (error) {
      kind.retryAtMs = performance.now() + this.#timing.retryDelayMs;
      this.#options.onError(error);
      return false;
    }
    // Not before: had it come to nothing, they would be made again.
    for (const other of displaced) other.wantFewer();
    return true;
  }

  #isBusy(): boolean {
    return !this.#quiet.isQuiet() || this.#running >= this.#options.slots;
  }

  /** Whether it waits: one that takes more than there is room for does not. */
  async #add(kind: Kind): Promise<boolean> {
    const guest = await this.#sandbox.prepare(kind.setup);
    try {
      const isReady = await beforeDeadline(guest.wait(kind.interpreter), this.#timing.readyMs);
      if (isReady !== true) throw await waitFailure(guest, isReady === LATE);
      kind.typicalBytes = Math.max(guest.memoryBytes(), LEAST_BYTES);
    } catch (error) {
      this.#takeDown(guest);
      throw error;
    }
    const isTooMuch = this.waiting().bytes + kind.typicalBytes > this.#options.maxBytes;
    if (kind.isForgotten || isTooMuch) {
      this.#takeDown(guest);
      return false;
    }
    const spare = { guest, bytes: kind.typicalBytes };
    kind.spares.push(spare);
    void this.#dropOnceGone(kind, spare);
    return true;
  }

  async #dropOnceGone({ spares }: Kind, spare: Spare): Promise<void> {
    await spare.guest.gone;
    const at = spares.indexOf(spare);
    if (at < 0) return;
    spares.splice(at, 1);
    this.#takeDown(spare.guest);
  }

  #reviewDemand(): void {
    this.#kinds.review(this.#timing.forgetMs);
    // One that could not be made is due again, and nothing else may come that asks for it.
    this.#quiet.disturb(0);
  }
}

async function waitFailure(guest: PreparedGuest, isLate: boolean): Promise<AppError> {
  const how = isLate ? "did not come up" : "has ended";
  const said = await guest.lastWords();
  return new AppError(
    "sandbox_error",
    [`A sandbox that was to wait for a job ${how}`, said].filter(Boolean).join(": "),
  );
}
