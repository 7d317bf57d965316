import { createHmac, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { errno } from "../platform/file-system.ts";
import { isSameSecret } from "./api-key.ts";
import { KeyFileError, makeDataDirectory, unlessRefused } from "./key-file.ts";

/*
 * URLs that need no key until they expire: `?expires=<Unix seconds>&signature=<HMAC-SHA-256 over path and expiry>`. They
 * outlive the key that they were made with, and only another secret takes them back.
 */

/** Of JOB_DATA_DIR, where SIGNING_SECRET does not name another. */
export const SECRET_FILE = "signing-secret";

const SECRET_BYTES = 32;
/** A process that makes the file has written it by then. */
const [MAX_LOOKS, LOOK_EVERY_MS] = [20, 50];

export interface UrlSigner {
  /** The path with a query that is good for so many seconds from now on. */
  sign(path: string, validSec: number): string;
  check(path: string, given: GivenSignature): "valid" | "invalid" | "expired";
}

/** As it stands in a query. */
interface GivenSignature {
  readonly expires: string;
  readonly signature: string;
}

export function createUrlSigner(secret: string): UrlSigner {
  const signatureOf = (path: string, expires: string) =>
    createHmac("sha256", secret).update(`${path}\n${expires}`).digest("base64url");
  return {
    sign: (path, validSec) => {
      const expires = (Math.floor(Date.now() / 1000) + validSec).toString();
      return `${path}?expires=${expires}&signature=${signatureOf(path, expires)}`;
    },
    check: (path, { expires, signature }) => {
      if (!isSameSecret(signatureOf(path, expires), signature)) return "invalid";
      return Date.now() < Number(expires) * 1000 ? "valid" : "expired";
    },
  };
}

/**
 * The secret in a file, which is made where there is none; of several processes that make it at a time all get the same.
 * Throws KeyFileError where the file holds something else, or cannot be used.
 */
export async function readOrMakeSecret(path: string): Promise<string> {
  await makeDataDirectory(dirname(path));
  const made = randomBytes(SECRET_BYTES).toString("base64url");
  await unlessRefused(path, () =>
    writeFile(path, `${made}\n`, { flag: "wx", mode: 0o600 }).catch(unlessThere),
  );
  for (let looks = 1; ; looks += 1) {
    const secret = (await unlessRefused(path, () => readFile(path, "utf8"))).trim();
    if (Buffer.from(secret, "base64url").length >= SECRET_BYTES) return secret;
    if (looks === MAX_LOOKS)
      throw new KeyFileError(
        `${path} holds no secret of ${SECRET_BYTES.toString()} bytes: remove it, and a new one is made.`,
      );
    await delay(LOOK_EVERY_MS);
  }
}

function unlessThere(error: unknown): void {
  if (errno(error) !== "EEXIST") throw error;
}
