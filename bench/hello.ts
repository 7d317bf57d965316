import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { runBareSync } from "./bare.ts";
import type { Bench, Files } from "./bench.ts";
import type { Submission } from "./job-client.ts";

/** What every one of them prints. */
export const HELLO = "hello";

/** The smallest program of a language, as a job and without one. */
export interface HelloProgram {
  readonly language: "python" | "node" | "bash" | "static binary";
  readonly job: Submission;
  /** How the same interpreter is called without this service. */
  readonly bareName: string;
  /** Runs it so. */
  readonly runBare: () => void;
}

/** A program before it is known what runs it here. */
interface Source {
  readonly language: HelloProgram["language"];
  readonly runtime: string;
  /** The entry first. */
  readonly files: Files;
}

/** Those that this machine can run. */
export function helloPrograms(bench: Bench): readonly HelloProgram[] {
  const programs: Source[] = [
    { language: "python", runtime: "python3", files: { "hello.py": `print("${HELLO}")\n` } },
    { language: "node", runtime: "node", files: { "hello.js": `console.log("${HELLO}")\n` } },
    { language: "bash", runtime: "bash", files: { "hello.sh": `echo ${HELLO}\n` } },
  ];
  const binary = staticBinary();
  // Uploads are no executables: the entry is a script that makes the binary one and becomes it, here as there.
  if (binary !== null)
    programs.push({
      language: "static binary",
      runtime: "sh",
      files: { "hello.sh": "chmod +x hello; exec ./hello\n", hello: binary },
    });
  const names = new Set(bench.runtimes.list().flatMap(({ name, aliases }) => [name, ...aliases]));
  return programs
    .filter(({ runtime }) => names.has(runtime))
    .map((source) => helloProgram(bench, source));
}

function helloProgram(bench: Bench, { language, runtime, files }: Source): HelloProgram {
  const [entry = ""] = Object.keys(files);
  const { binary } = bench.runtimes.resolve(runtime, entry).runtime;
  const cwd = bench.folderOf(files);
  return {
    language,
    job: { spec: { entry, runtime }, files },
    bareName: `bare ${runtime} ${entry}`,
    runBare: () => runBareSync({ argv: [binary, entry], cwd, expected: `${HELLO}\n` }),
  };
}

const SOURCE = `#include <unistd.h>\nint main(void) { return write(1, "${HELLO}\\n", ${HELLO.length + 1}) < 0; }\n`;

const GCC = "/usr/bin/gcc";

/** A program without an interpreter and libraries; null where there is no compiler. */
function staticBinary(): Uint8Array | null {
  if (!existsSync(GCC)) return null;
  const directory = mkdtempSync(join(tmpdir(), "job-runner-hello-"));
  try {
    writeFileSync(join(directory, "hello.c"), SOURCE);
    execFileSync(GCC, ["-static", "-Os", "-s", "-o", "hello", "hello.c"], { cwd: directory });
    return readFileSync(join(directory, "hello"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
