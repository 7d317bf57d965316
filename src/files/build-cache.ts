/*
 * What was made of a job's files before its program runs, for that job and for those with the same files after it. Several
 * workers may share one, and any of them may die at any moment: what is found is whole, and stays readable until it is closed.
 *
 * Every member may throw AppError `storage_full` (disk full), or what the file system throws.
 */

export interface BuildCache {
  /** false: what is kept is gone once it is closed. */
  readonly keepsForLater: boolean;
  /** What was kept under this key; null when it is not there, or not whole. */
  find(key: string): Promise<KeptFiles | null>;
  /**
   * Takes files in, and makes them to be found under the key once all of them are there; those that were used the longest
   * ago go for it. Rejects with what reading them throws, and then nothing was kept.
   */
  keep(key: string, files: AsyncIterable<NewFile>): Promise<KeptFiles>;
}

export interface NewFile {
  /** Relative. */
  readonly path: string;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface KeptFiles {
  /** Whoever asks for their key finds them as well, until others take their room; false: they are there for this reader alone. */
  readonly isShared: boolean;
  readonly files: readonly KeptFile[];
  /** To be called once nothing is read any more. */
  close(): Promise<void>;
}

export interface KeptFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
  /** May be read again; a chunk is the reader's until it asks for the next. */
  bytes(): AsyncIterable<Uint8Array>;
}
