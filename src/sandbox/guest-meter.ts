import type { GuestExit, GuestLimit } from "./sandbox.ts";

/** What a meter knows of a guest that has ended. */
export type Measures = Pick<GuestExit, "peakMemoryBytes" | "oom" | "limitsMet">;

/** Holds one guest to the limits of memory, CPU and processes for all that runs in it, and measures what it took. */
export interface GuestMeter {
  /** Whether the kernel holds all processes together to the limits, so that no process needs limits of its own. */
  readonly isHeldAsWhole: boolean;
  /**
   * Takes the guest's supervisor under the limits, before anything of the job has reached it. `pid` is as this process
   * sees it. Rejects with what the system throws.
   */
  enter(pid: number): Promise<void>;
  /** The program has been started. `onLimit` is called once, if a limit is met that only this meter enforces. */
  watch(onLimit: (limit: GuestLimit) => void): void;
  /** The program has ended and its files are to come out, for which there is room from now on. Idempotent. */
  finish(): Measures;
  /** Gives back what it holds; resolves when nothing of the guest is left in it. Idempotent. */
  close(): Promise<void>;
}
