import { readdirSync, readFileSync } from "node:fs";

/** A process that belongs to a job. */
export interface GuestProcess {
  readonly pid: number;
  readonly jobId: string;
  readonly attempt: number;
}

/** The processes of these jobs that live now: a program and all that it starts has its job's name among its environment (execute.ts). */
export function guestsOf(jobIds: ReadonlySet<string>): readonly GuestProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      const { JOB_ID = "", JOB_ATTEMPT = "" } = environmentOf(name);
      return { pid: Number(name), jobId: JOB_ID, attempt: Number(JOB_ATTEMPT) };
    })
    .filter(({ jobId }) => jobIds.has(jobId));
}

/** Empty for a process that is gone, or has ended and was not waited for yet. */
function environmentOf(pid: string): NodeJS.ProcessEnv {
  try {
    const pairs = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return Object.fromEntries(pairs.map((pair) => pair.split("=", 2)));
  } catch {
    return {};
  }
}
