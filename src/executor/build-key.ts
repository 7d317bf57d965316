import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";

import type { NetPolicy } from "../jobs/net-policy.ts";
import type { CompileStep, InstalledRuntime } from "../runtimes/runtime.ts";

/** Changes with what is kept under a key. */
const FORMAT = 1;

/**
 * A name for all that decides what a step before the program makes: its tool, how that is called, and the files that it is
 * given. The same name is the same result, for nothing else of a job reaches the tool. Each caller has names of its own: else a
 * job that goes without the step would tell that somebody else has had the same files. 64 hexadecimal digits.
 */
export async function buildKey(build: {
  readonly runtime: Pick<InstalledRuntime, "name" | "version" | "binary">;
  readonly step: Pick<CompileStep, "env" | "helpers">;
  readonly argv: readonly string[];
  /** The API key that asks; null: none, or for all of them. */
  readonly callerId: string | null;
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  /** Absent: it has no network. */
  readonly netPolicy?: NetPolicy;
}): Promise<string> {
  const { runtime, step, argv, callerId, files, netPolicy = "none" } = build;
  const { name, version, binary } = runtime;
  // Its version stays the same where its machine's package manager replaces it, and where another worker has it from elsewhere.
  const found = await stat(binary).catch(() => null);
  const parts = [
    FORMAT,
    callerId,
    process.arch,
    [name, version, binary, found?.size, found?.mtimeMs],
    [argv, step.env, step.helpers ?? {}, netPolicy],
    files.map(({ path, sha256 }) => `${sha256} ${path}`).toSorted(),
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
