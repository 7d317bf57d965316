/*
 * How many requests may be under way: of all, for one API key, and of that key to one origin. So a receiver that does not answer,
 * or a key that names a thousand of them, takes its own places and nobody else's: what one key's receivers do says nothing of
 * another's, although they may be on the same host.
 */

const MAX_UNDER_WAY = 256;
const MAX_PER_KEY = 64;
const MAX_PER_ORIGIN = 32;
/** One that has not answered is tried so often at a time, until it does or for so long. */
const MAX_PER_SILENT_ORIGIN = 1;
const SILENT_FOR_MS = 60_000;

/** Whose request it is, and where it goes. */
export interface Lane {
  /** Of its URL. */
  readonly origin: string;
  /** The API key that the job belongs to; null: none. */
  readonly keyId: string | null;
}

/** The requests that are under way in this process. */
export class Lanes {
  readonly #perLane = new Map<string, number>();
  readonly #perKey = new Map<string | null, number>();
  /** Since when a lane has been silent, on the monotonic clock. */
  readonly #silentSinceMs = new Map<string, number>();
  #count = 0;

  /** Takes a place for a request, to be left once it is over; null where there is none. */
  tryEnter(lane: Lane): ((isAnswered: boolean) => void) | null {
    const name = nameOf(lane);
    const maxPerOrigin = this.isSilent(lane) ? MAX_PER_SILENT_ORIGIN : MAX_PER_ORIGIN;
    const isFull =
      this.#count >= MAX_UNDER_WAY ||
      (this.#perKey.get(lane.keyId) ?? 0) >= MAX_PER_KEY ||
      (this.#perLane.get(name) ?? 0) >= maxPerOrigin;
    if (isFull) return null;
    this.#add(lane, 1);
    return (isAnswered) => {
      this.#add(lane, -1);
      if (isAnswered) this.#silentSinceMs.delete(name);
      else this.#silentSinceMs.set(name, performance.now());
    };
  }

  /** Whether the last request of this key to it was not answered, a short while ago. */
  isSilent(lane: Lane): boolean {
    const oldestMs = performance.now() - SILENT_FOR_MS;
    for (const [each, sinceMs] of this.#silentSinceMs)
      if (sinceMs < oldestMs) this.#silentSinceMs.delete(each);
    return this.#silentSinceMs.has(nameOf(lane));
  }

  #add(lane: Lane, change: 1 | -1): void {
    this.#count += change;
    addTo(this.#perLane, nameOf(lane), change);
    addTo(this.#perKey, lane.keyId, change);
  }
}

function nameOf({ origin, keyId }: Lane): string {
  return `${keyId ?? ""} ${origin}`;
}

function addTo<Key>(counts: Map<Key, number>, key: Key, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
