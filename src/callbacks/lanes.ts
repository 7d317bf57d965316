/*
 * How many requests may be under way: of all, for one API key, and to one host. So a receiver that does not answer, or a key
 * that names a thousand of them, takes its own places and not everybody's.
 */

const MAX_UNDER_WAY = 256;
const MAX_PER_KEY = 64;
const MAX_PER_HOST = 32;
/** A host that has not answered is tried so often at a time, until it does or for so long. */
const MAX_PER_SILENT_HOST = 1;
const SILENT_FOR_MS = 60_000;

/** Whose request it is, and where it goes. */
export interface Lane {
  readonly host: string;
  /** The API key that the job belongs to; null: none. */
  readonly keyId: string | null;
}

/** The requests that are under way in this process. */
export class Lanes {
  readonly #perHost = new Map<string, number>();
  readonly #perKey = new Map<string | null, number>();
  /** Since when a host has been silent, on the monotonic clock. */
  readonly #silentSinceMs = new Map<string, number>();
  #count = 0;

  /** Takes a place for a request, to be left once it is over; null where there is none. */
  tryEnter({ host, keyId }: Lane): ((isAnswered: boolean) => void) | null {
    const maxPerHost = this.isSilent(host) ? MAX_PER_SILENT_HOST : MAX_PER_HOST;
    const isFull =
      this.#count >= MAX_UNDER_WAY ||
      (this.#perKey.get(keyId) ?? 0) >= MAX_PER_KEY ||
      (this.#perHost.get(host) ?? 0) >= maxPerHost;
    if (isFull) return null;
    this.#add({ host, keyId }, 1);
    return (isAnswered) => {
      this.#add({ host, keyId }, -1);
      if (isAnswered) this.#silentSinceMs.delete(host);
      else this.#silentSinceMs.set(host, performance.now());
    };
  }

  /** Whether the last request to it was not answered, a short while ago. */
  isSilent(host: string): boolean {
    const oldestMs = performance.now() - SILENT_FOR_MS;
    for (const [each, sinceMs] of this.#silentSinceMs)
      if (sinceMs < oldestMs) this.#silentSinceMs.delete(each);
    return this.#silentSinceMs.has(host);
  }

  #add({ host, keyId }: Lane, change: 1 | -1): void {
    this.#count += change;
    addTo(this.#perHost, host, change);
    addTo(this.#perKey, keyId, change);
  }
}

function addTo<Key>(counts: Map<Key, number>, key: Key, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
