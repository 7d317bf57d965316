import { messageOf } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { type ApiKey, findApiKey } from "./api-key.ts";
import { KeyFileError, readKeyFile, versionOfKeyFile } from "./key-file.ts";

/** The keys of the key file as they are at one moment. */
export interface KnownKeys {
  /**
   * Whether a call needs a key because of this file: from the first key on, also once all were revoked, and where the file
   * cannot be read.
   */
  readonly areNeeded: boolean;
  /** The key whose text was given; null where there is none, or it was revoked. */
  find(given: string): ApiKey | null;
}

/**
 * Reads the key file. What it resolves to asks for the keys as they are now, and never rejects: each call of a client looks
 * whether the file is another one, and reads it again where it is, so that a revoked key is refused at once by every process.
 * What cannot be read is logged, and the last good keys stay. Throws KeyFileError where it cannot be read to begin with.
 */
export async function openKnownKeys(path: string, log: Logger): Promise<() => Promise<KnownKeys>> {
  // In this order, here and below: a change between the two is seen as one the next time.
  let version = versionOfKeyFile(path);
  let keys = await readKeyFile(path);
  let isReadable = true;
  let reading = Promise.resolve();

  const read = async () => {
    const found = versionOfKeyFile(path);
    if (found === version) return;
    try {
      const next = await readKeyFile(path);
      if (next.size === 0 && keys.size > 0)
        throw new KeyFileError(`${path} is gone or has no key in it: the last keys stay in force.`);
      keys = next;
      isReadable = true;
      log.info("keys_changed", `The API keys are now: ${describe(keys)}.`);
    } catch (error) {
      isReadable = false;
      log.error("keys_unreadable", messageOf(error), { error });
    }
    version = found;
  };

  return async () => {
    if (versionOfKeyFile(path) !== version) {
      // One after the other: what is read is never older than what it replaces.
      reading = reading.then(read);
      await reading;
    }
    // Whoever made a file that cannot be read did not mean that everybody may call.
    const areNeeded = keys.size > 0 || !isReadable;
    const current = keys;
    return { areNeeded, find: (given) => findApiKey(current, given) };
  };
}

function describe(keys: ReadonlyMap<string, ApiKey>): string {
  if (keys.size === 0) return "none";
  const each = [...keys.values()].map(({ id, revokedAtMs }) =>
    revokedAtMs === null ? id : `${id} (revoked)`,
  );
  return each.join(", ");
}
