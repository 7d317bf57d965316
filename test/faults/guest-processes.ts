import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { processIdentity } from "../../src/platform/process-identity.ts";

/** A process that belongs to a job. */
export interface GuestProcess {
  readonly pid: number;
  readonly jobId: string;
  readonly attempt: number;
}

/** The processes of these jobs that live now: a program and all that it starts has its job's name among its environment (execute.ts). */
export function guestsOf(jobIds: ReadonlySet<string>): readonly GuestProcess[] {
  return pids()
    .map((pid) => {
      const { JOB_ID = "", JOB_ATTEMPT = "" } = environmentOf(pid);
      return { pid: Number(pid), jobId: JOB_ID, attempt: Number(JOB_ATTEMPT) };
    })
    .filter(({ jobId }) => jobIds.has(jobId));
}

/** Where a service makes its directory (platform/runtime-directory.ts). */
const RUNTIME_PARENTS = ["/run", tmpdir()];

/** The directory of a running service that holds what its guests read; null where it has no guests. */
export function runtimeDirectoryOf(pid: number): string | null {
  // Less its host name, which a worker of another host has of its own.
  const identity = processIdentity(pid).replace(/^[^/]*/, "");
  const directories = RUNTIME_PARENTS.flatMap((parent) =>
    readdirSync(parent).map((name) => join(parent, name)),
  );
  return directories.find((path) => textOf(join(path, "owner")).endsWith(identity)) ?? null;
}

/** A process in a sandbox, whether that has a job or waits for one. */
interface SandboxedProcess {
  readonly pid: number;
  readonly command: string;
}

/** The processes that live now in sandboxes of the services with these directories: those have their supervisor from there. */
export function sandboxedBy(runtimeDirectories: readonly string[]): readonly SandboxedProcess[] {
  const mounted = runtimeDirectories.map((path) => `/${basename(path)}/supervisor`);
  return pids()
    .filter((pid) => {
      const mounts = textOf(`/proc/${pid}/mountinfo`);
      return mounted.some((path) => mounts.includes(path));
    })
    .map((pid) => ({
      pid: Number(pid),
      command: textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim(),
    }));
}

function pids(): readonly string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

function environmentOf(pid: string): NodeJS.ProcessEnv {
  const pairs = textOf(`/proc/${pid}/environ`).split("\0");
  return Object.fromEntries(pairs.map((pair) => pair.split("=", 2)));
}

/** Empty where there is no such file; of a process also once it is gone, or has ended and was not waited for yet. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
