import { readFileSync } from "node:fs";

import { AppError } from "../errors.ts";
import { beforeDeadline, LATE } from "./deadline.ts";

/*
 * Who a guest's processes are to the host. Namespaces alone are no wall for root, so a service that is root gives each
 * guest a uid of its own out of a range that nobody else uses; any other service's guests run as its own user.
 */

/** Both ends are in it; the gids of guests are the same numbers. */
export interface UidRange {
  readonly first: number;
  readonly last: number;
}

/**
 * What root needs of its capabilities, by their bits in linux/capability.h: to hand a guest its pipes, to end it, and to
 * start it as another user. A container takes them away (--cap-drop ALL) without taking away the uid 0.
 */
const NEEDED_CAPABILITIES = { CHOWN: 0, KILL: 5, SETGID: 6, SETUID: 7 };

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The files of this machine that guests' uids depend on, as proc(5) and passwd(5) describe them. */
export interface UidFiles {
  readonly passwd: string;
  /** /proc/self/status. */
  readonly ownStatus: string;
}

/** Why guests cannot have uids of the range, in a sentence with its remedy; null when they can. */
export function uidProblem(
  range: UidRange | undefined,
  { passwd, ownStatus }: UidFiles = readUidFiles(),
): string | null {
  if (!isRoot()) return null;
  if (range === undefined)
    return "This service runs as root and has no range of uids for its guests: set SANDBOX_UIDS, e.g. SANDBOX_UIDS=20001-21000, or run it as another user.";
  const missing = missingCapabilities(ownStatus);
  if (missing.length > 0)
    return `This service runs as root, but without the capabilities to give a job a uid of its own and to end it: run it as another user (in a container: --user 10001), or give it what is missing (${missing.map((name) => `--cap-add ${name}`).join(" ")}).`;
  const taken = usersOf(passwd).find(({ uid }) => uid >= range.first && uid <= range.last);
  if (taken === undefined) return null;
  return `The uid ${taken.uid} of SANDBOX_UIDS (${range.first}-${range.last}) is the user ${taken.name} of this machine: choose a range that nobody uses, e.g. SANDBOX_UIDS=${range.last + 1}-${range.last + 1000}.`;
}

/** The uids of this service's guests, each of them one guest's at a time. */
interface UidLender {
  /**
   * The lowest one that is free, else the next that is given back. Throws AppError `sandbox_error` when none comes back in
   * time.
   */
  lend(): Promise<UidLoan>;
}

interface UidLoan {
  /** undefined: this service's own, which all have. */
  readonly uid: number | undefined;
  /** Its guest is gone. Idempotent: by the second time the uid may be another guest's. */
  readonly giveBack: () => void;
}

/** Jobs have one each, so that none of them waits; the trials of a service that starts may, for each other. */
const WAIT_MS = 15_000;

export function createUidLender(range: UidRange | undefined, waitMs = WAIT_MS): UidLender {
  const lent = new Set<number>();
  const waiting: ((uid: number) => void)[] = [];
  const lendFree = () => {
    const { first = 1, last = 0 } = range ?? {};
    // 0 would be root, and so would NaN.
    const isRange = Number.isInteger(first) && first >= 1;
    for (let uid = first; isRange && uid <= last; uid += 1)
      if (!lent.has(uid)) {
        lent.add(uid);
        return uid;
      }
    return null;
  };
  const loanOf = (uid: number): UidLoan => {
    let isLent = true;
    return {
      uid,
      giveBack() {
        if (!isLent) return;
        isLent = false;
        const next = waiting.shift();
        if (next === undefined) lent.delete(uid);
        else next(uid);
      },
    };
  };
  return {
    async lend() {
      if (!isRoot()) return { uid: undefined, giveBack: () => undefined };
      const free = lendFree();
      if (free !== null) return loanOf(free);
      if (lent.size === 0) throw noneLeft();
      const { promise, resolve } = Promise.withResolvers<number>();
      waiting.push(resolve);
      const uid = await beforeDeadline(promise, waitMs);
      if (uid !== LATE) return loanOf(uid);
      const at = waiting.indexOf(resolve);
      // It was handed over at the last moment.
      if (at < 0) return loanOf(await promise);
      waiting.splice(at, 1);
      throw noneLeft();
    },
  };
}

function noneLeft(): AppError {
  return new AppError("sandbox_error", "SANDBOX_UIDS has no uid left for another guest");
}

/** Every uid that a guest of this service can have. */
export function guestUids(range: UidRange | undefined): UidRange {
  if (isRoot() && range !== undefined) return range;
  const own = process.getuid?.() ?? -1;
  return { first: own, last: own };
}

function readUidFiles(): UidFiles {
  return { passwd: readText("/etc/passwd"), ownStatus: readText("/proc/self/status") };
}

/** Empty where it cannot be read. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function missingCapabilities(ownStatus: string): string[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(ownStatus)?.[1] ?? "0"}`);
  return Object.entries(NEEDED_CAPABILITIES).flatMap(([name, bit]) =>
    (effective & (1n << BigInt(bit))) === 0n ? [name] : [],
  );
}

/** passwd(5): name:password:uid:... */
function usersOf(passwd: string): { readonly name: string; readonly uid: number }[] {
  return passwd
    .split("\n")
    .map((line) => line.split(":"))
    .flatMap(([name, , uid]) => (name && uid ? [{ name, uid: Number(uid) }] : []));
}
