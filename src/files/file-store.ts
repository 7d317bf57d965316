import type { InputFile } from "../jobs/job.ts";
import type { Artifact } from "../jobs/outcome.ts";

/*
 * What goes into a job and what comes out. Files are kept as numbered blobs, small uploads in the job's record, never under
 * the names that users and programs give them: names live in the record alone, so that no name can reach outside the
 * job's folder.
 *
 * Every member may throw AppError `storage_full` (disk full) or `internal`.
 */

/**
 * An upload in progress: add, commit, then confirm or discard. One that gets neither (its process died, or the store gave
 * no answer) is found by removeAbandonedUploads.
 */
export interface Upload {
  /**
   * Streams one file in; resolves to its record once it is on disk, or in the record, which the store keeps with the job.
   * The caller has validated `path`.
   */
  add(file: {
    readonly path: string;
    readonly role: InputFile["role"];
    readonly bytes: AsyncIterable<Uint8Array>;
  }): Promise<InputFile>;
  /** As add, for a file of an earlier job: its bytes are kept once for the two where that can be. Throws `not_found` when they are gone. */
  addAgain(jobId: string, file: InputFile): Promise<InputFile>;
  /** Puts the files where readInput finds them, in one rename. To be called before the job is stored. */
  commit(): Promise<void>;
  /** The job is stored: its files stay until remove. */
  confirm(): Promise<void>;
  /** The job is not stored: removes whatever was written, committed or not. */
  discard(): Promise<void>;
}

/** Takes in one attempt's artifacts. They are visible once a record names them (fenced by the store's finish). */
export interface ArtifactWriter {
  /**
   * Streams one file in. With `unlessHash`, a file of that SHA-256 is an unchanged input: nothing is kept and null is
   * the answer.
   */
  add(file: {
    readonly path: string;
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly unlessHash?: string;
  }): Promise<Artifact | null>;
}

/** From `start` to `end`, exclusive, in bytes. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
}

export interface FileStore {
  /** Starts the upload of a new job's files. */
  beginUpload(jobId: string): Promise<Upload>;

  /** The bytes of an uploaded file; a chunk is the reader's until it asks for the next. Throws `not_found` when they are gone. */
  readInput(jobId: string, file: InputFile): AsyncIterable<Uint8Array>;

  /** Bytes [start, end) of an uploaded file. Throws `not_found` when it is gone. */
  readInputPart(jobId: string, file: InputFile, range: FileRange): Promise<Blob>;

  artifactWriter(jobId: string, epoch: number): ArtifactWriter;

  /** Bytes [start, end) of an artifact. Throws `not_found` when it is gone. */
  readArtifact(jobId: string, artifact: Artifact, range: FileRange): Promise<Blob>;

  /** Removes a job's folder. A folder that is not there is no error. */
  remove(jobId: string): Promise<void>;

  /**
   * Removes uploads that were begun more than `olderThanMs` ago, that nobody has written to since, and that were never
   * confirmed, unless `isStored` tells that their job exists after all. Resolves to the number of those removed. With
   * other API processes on the same volume, 0 would take a live upload from under one of them.
   */
  removeAbandonedUploads(options: {
    readonly olderThanMs: number;
    readonly isStored: (jobId: string) => Promise<boolean>;
  }): Promise<number>;

  /**
   * Removes the folders of jobs that were stored and that the store has lost since, as Redis loses in a crash of its host
   * what it acknowledged in the last second (appendfsync everysec): those that are older than `olderThanMs`, are not being
   * uploaded, and whose job `isStored` does not know; at most `limit` of them. Resolves to the number of those removed.
   * Throws what `isStored` throws, and then nothing was removed; nor is anything once `signal` has fired.
   */
  removeOrphanedJobs(options: {
    readonly olderThanMs: number;
    readonly limit: number;
    readonly isStored: (jobId: string) => Promise<boolean>;
    readonly signal: AbortSignal;
  }): Promise<number>;
}
