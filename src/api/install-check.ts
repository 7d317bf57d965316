import type { InputFile } from "../jobs/job.ts";
import type { WorkerRuntime } from "../store/store.ts";

/**
 * Why a job with `install` cannot have its dependencies installed by the runtime that was chosen for it, in a sentence for its
 * client; null where it can. `present` are all the runtimes there are.
 */
export function installProblem(
  { name, installs }: WorkerRuntime,
  files: readonly Pick<InputFile, "path" | "role">[],
  present: readonly WorkerRuntime[],
): string | null {
  // A worker of an earlier version has not said.
  if (typeof installs !== "string") {
    const others = present.filter((each) => typeof each.installs === "string");
    const which = others.map((each) => `${each.name} (${each.installs})`).join(", ");
    return `Nothing installs dependencies for ${name} here; ${which === "" ? "nor for any other runtime" : `it can be done for ${which}`}.`;
  }
  if (files.some(({ path, role }) => path === installs && role === "code")) return null;
  return `Dependencies for ${name} are named by a file ${installs}, which is not among the job's code files, at their top.`;
}
