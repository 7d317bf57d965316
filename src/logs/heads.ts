import type { StreamName } from "../jobs/log-entry.ts";
import { framesOf, type Snapshot } from "./snapshot.ts";

/** The beginning of one stream of a log. */
export interface Head {
  /** Bytes that are no UTF-8 are replaced by U+FFFD. */
  readonly text: string;
  /** There is more in the log than this. */
  readonly isTruncated: boolean;
}

/** The beginning of each stream, of `maxBytes` bytes of the log at most; a character is not cut. Throws what the snapshot throws. */
export async function readHeads(
  snapshot: Snapshot,
  maxBytes: number,
): Promise<Readonly<Record<StreamName, Head>>> {
  const taken = {
    stdout: new Beginning(maxBytes),
    stderr: new Beginning(maxBytes),
    compiler: new Beginning(maxBytes),
    installer: new Beginning(maxBytes),
  };
  for await (const page of snapshot.pages()) {
    for (const { stream, bytes } of framesOf(page)) taken[stream].add(bytes);
    // What is run before the program has had its say by then.
    if (taken.stdout.isTruncated && taken.stderr.isTruncated) break;
  }
  return {
    stdout: taken.stdout.head(),
    stderr: taken.stderr.head(),
    compiler: taken.compiler.head(),
    installer: taken.installer.head(),
  };
}

class Beginning {
  isTruncated = false;
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #leftBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#leftBytes = maxBytes;
  }

  add(bytes: Uint8Array): void {
    if (bytes.length > this.#leftBytes) this.isTruncated = true;
    if (this.#leftBytes === 0) return;
    this.#chunks.push(bytes.subarray(0, this.#leftBytes));
    this.#leftBytes = Math.max(this.#leftBytes - bytes.length, 0);
  }

  head(): Head {
    const bytes = Buffer.concat(this.#chunks, this.#maxBytes - this.#leftBytes);
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    // As a stream the decoder holds a character back that is not complete.
    return {
      text: decoder.decode(bytes, { stream: this.isTruncated }),
      isTruncated: this.isTruncated,
    };
  }
}
