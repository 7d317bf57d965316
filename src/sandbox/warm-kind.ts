import { MIB } from "../jobs/limits.ts";
import type { GuestSetup, PreparedGuest, WaitingInterpreter } from "./sandbox.ts";

/** A sandbox that waits for a job. */
export interface Spare {
  readonly guest: PreparedGuest;
  readonly bytes: number;
}

/**
 * Taken for the memory of one that has not been measured, and of each that seems to take less: without a cgroup only the
 * resident pages of processes are seen, and nowhere bubblewrap's own process and what the kernel holds for its namespaces.
 */
export const LEAST_BYTES = 8 * MIB;

/** Sandboxes that are alike: one may take another's job. Which of them wait, and how many are to. */
export class Kind {
  readonly setup: GuestSetup;
  readonly interpreter: WaitingInterpreter | undefined;
  readonly spares: Spare[] = [];
  /** Jobs that have asked for it. */
  uses = 0;
  /** How many are to wait. */
  wanted = 0;
  usedAtMs = performance.now();
  /** What the last one took. */
  typicalBytes = LEAST_BYTES;
  /** None is made before that. */
  retryAtMs = 0;
  /** Nobody will ask for it any more. */
  isForgotten = false;
  /** Of those that waited, how many were not needed since the last look at demand. */
  #unneeded = Number.POSITIVE_INFINITY;

  constructor(setup: GuestSetup, interpreter: WaitingInterpreter | undefined) {
    this.setup = setup;
    this.interpreter = interpreter;
  }

  /** Gives what waits. */
  forget(): readonly Spare[] {
    this.isForgotten = true;
    return this.spares.splice(0);
  }

  /** A job found none: one more is to wait, up to as many as there are slots, which all may ask for one at once. */
  wantMore(slots: number): void {
    this.wanted = Math.min(this.wanted + 1, slots);
  }

  /** One of them gave way to one of another kind. */
  wantFewer(): void {
    this.wanted = Math.max(this.wanted - 1, 0);
  }

  take(): Spare | undefined {
    const spare = this.spares.shift();
    this.#unneeded = Math.min(this.#unneeded, this.spares.length);
    return spare;
  }

  /** Wants fewer by those that nobody needed since the last time, down to one. Gives those that are too many now. */
  review(): readonly Spare[] {
    const unneeded = Math.min(this.#unneeded, this.spares.length);
    if (this.wanted > 1) this.wanted = Math.max(this.wanted - unneeded, 1);
    const tooMany = this.spares.splice(this.wanted);
    this.#unneeded = this.spares.length;
    return tooMany;
  }
}
