import type { GuestSetup, WaitingInterpreter } from "./sandbox.ts";
import { Kind, type Spare } from "./warm-kind.ts";

/** Names come from outside: no more are remembered. */
const MAX_KINDS = 200;

/** For all that wait, together. */
export interface Room {
  readonly maxBytes: number;
  readonly maxWaiting: number;
}

/** The kinds of sandboxes that jobs have asked for: what waits of each, which of them lacks one, and which gives way to it. */
export class Kinds {
  readonly #byKey = new Map<string, Kind>();
  readonly #letGo: (spare: Spare) => void;

  /** `letGo` gets each sandbox that is not to wait any longer. */
  constructor(letGo: (spare: Spare) => void) {
    this.#letGo = letGo;
  }

  /** The kind of that setup and interpreter, which is remembered from now on. */
  find(setup: GuestSetup, interpreter: WaitingInterpreter | undefined): Kind {
    const key = JSON.stringify([setup, interpreter]);
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const kind = new Kind(setup, interpreter);
    this.#byKey.set(key, kind);
    if (this.#byKey.size > MAX_KINDS) {
      const [oldest] = [...this.#byKey].sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
      if (oldest !== undefined) this.#forget(oldest[0]);
    }
    return kind;
  }

  /** What waits; `wanted` of them are to. */
  waiting(): { readonly count: number; readonly bytes: number; readonly wanted: number } {
    const kinds = [...this.#byKey.values()];
    const spares = kinds.flatMap((kind) => kind.spares);
    return {
      count: spares.length,
      bytes: spares.reduce((sum, { bytes }) => sum + bytes, 0),
      wanted: kinds.reduce((sum, { wanted }) => sum + wanted, 0),
    };
  }

  /** The kind that lacks one, the one that was asked for last of those that are not `passedOver`. */
  lacking(passedOver: ReadonlySet<Kind>): Kind | undefined {
    const nowMs = performance.now();
    return [...this.#byKey.values()]
      .filter((kind) => kind.spares.length < kind.wanted && kind.retryAtMs <= nowMs)
      .filter((kind) => !passedOver.has(kind))
      .sort((a, b) => b.usedAtMs - a.usedAtMs)[0];
  }

  /**
   * Makes room for one more of `kind`: lets go of as many as that takes, of those that were asked for longer ago than it, the
   * longest ago first. Gives the kind of each; null where even all of them would not be enough, and then they stay.
   */
  makeRoomFor(kind: Kind, { maxBytes, maxWaiting }: Room): readonly Kind[] | null {
    const { count, bytes } = this.waiting();
    let missingBytes = bytes + kind.typicalBytes - maxBytes;
    let missingPlaces = count + 1 - maxWaiting;
    const older = [...this.#byKey.values()]
      .filter((other) => other.usedAtMs < kind.usedAtMs)
      .sort((a, b) => a.usedAtMs - b.usedAtMs)
      .flatMap((other) => other.spares.map((spare) => ({ other, spare })));
    const leaving: typeof older = [];
    for (const each of older) {
      if (missingBytes <= 0 && missingPlaces <= 0) break;
      leaving.push(each);
      missingBytes -= each.spare.bytes;
      missingPlaces -= 1;
    }
    if (missingBytes > 0 || missingPlaces > 0) return null;
    for (const { other, spare } of leaving) {
      other.spares.splice(other.spares.indexOf(spare), 1);
      this.#letGo(spare);
    }
    return leaving.map(({ other }) => other);
  }

  /** Looks at the demand since the last time, and forgets what nobody has asked for in `forgetMs`. */
  review(forgetMs: number): void {
    const nowMs = performance.now();
    for (const [key, kind] of this.#byKey) {
      if (nowMs - kind.usedAtMs > forgetMs) this.#forget(key);
      else for (const spare of kind.review()) this.#letGo(spare);
    }
  }

  forgetAll(): void {
    for (const key of this.#byKey.keys()) this.#forget(key);
  }

  #forget(key: string): void {
    for (const spare of this.#byKey.get(key)?.forget() ?? []) this.#letGo(spare);
    this.#byKey.delete(key);
  }
}
