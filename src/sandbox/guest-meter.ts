import type { Limits } from "../jobs/limits.ts";
import type { GuestExit, GuestLimit } from "./sandbox.ts";

/** What a meter knows of a guest that has ended. */
export type Measures = Pick<GuestExit, "peakMemoryBytes" | "oom" | "limitsMet">;

/** What a guest is held to. */
export interface HeldGuest {
  readonly limits: Limits;
  /** Processes of the guest that are neither the program's nor the supervisor. */
  readonly helpers: number;
  /** The job's own interpreter has been started and waits. */
  readonly isWarm: boolean;
}

/** Holds one guest to the limits of memory, CPU and processes for all that runs in it, and measures what it took. */
export interface GuestMeter {
  /** Whether the kernel holds all processes together to the limits, so that no process needs limits of its own. */
  readonly isHeldAsWhole: boolean;
  /**
   * Takes the guest's supervisor in, before anything of a job has reached it. `pid` is as this process sees it. Rejects
   * with what the system throws.
   */
  enter(pid: number): Promise<void>;
  /** Memory of all that runs in it, its supervisor included, in bytes; 0 when nobody can tell. */
  memoryBytes(): number;
  /**
   * Puts a job's limits on, before anything of it has reached the guest. Throws what the system throws.
   */
  limit(held: HeldGuest): void;
  /** The program has been started. `onLimit` is called once, if a limit is met that only this meter enforces. */
  watch(onLimit: (limit: GuestLimit) => void): void;
  /** The program has ended. Idempotent. */
  finish(): Measures;
  /** Its files are to come out, for which the guest gets memory of its own. Throws what the system throws. */
  makeRoom(): void;
  /** Gives back what it holds; resolves when nothing of the guest is left in it. Idempotent. */
  close(): Promise<void>;
}
