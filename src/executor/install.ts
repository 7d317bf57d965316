import type { Egress } from "../egress/egress.ts";
import { outcomeWithoutRun } from "../jobs/outcome.ts";
import { buildRequest, isIn } from "../runtimes/build-guest.ts";
import type { InstallStep } from "../runtimes/runtime.ts";
import { buildKey } from "./build-key.ts";
import { type BuildStepOptions, ended, runBuild } from "./build-step.ts";
import type { BuildTool } from "./build-verdict.ts";
import type { Built, Installer, JobStep } from "./executor.ts";
import { inputOf } from "./guest-step.ts";

/*
 * The install step: a guest that is given a job's manifests and its network, and nothing else of it (not its code, input
 * files, arguments or environment): what packages bring along to be run while they are installed has nothing of the job's to
 * read. What it leaves is kept for the next job with these manifests, which does without a network for it.
 */

export interface InstallerOptions extends BuildStepOptions {
  readonly egress: Egress;
}

const TOOL: BuildTool = {
  stream: "installer",
  reason: "install_error",
  timeoutVariable: "INSTALL_TIMEOUT_SEC",
  refusal: "did not install the dependencies; the log says why",
  // Of a manifest that names nothing, or nothing for this system.
  nothing: null,
  usage: "installUsage",
};

export function createInstaller(options: InstallerOptions): Installer {
  return {
    async install(job, step) {
      const own = job.job.files.find(({ path }) => isIn(path, step.folder));
      if (own !== undefined) return refused(inTheWay(own.path, step));
      return await install(options, job, step);
    },
  };
}

async function install(options: InstallerOptions, job: JobStep, step: InstallStep): Promise<Built> {
  const { runtime, slot, log } = job;
  const { keyId: callerId, spec } = job.job;
  const { netPolicy, limits } = spec;
  const code = job.job.files.filter(({ role }) => role === "code");
  const manifests = step.manifests.flatMap((name) => code.filter(({ path }) => path === name));
  const argv = step.argv(manifests.map(({ path }) => path));
  // With fewer hosts to ask, a tool may well take another package of the same name from one that is left.
  const key = await buildKey({ runtime, step, argv, callerId, files: manifests, netPolicy });
  const known = await options.cache.find(key);
  if (known !== null) return { kind: "cached", files: known };
  const gate = netPolicy === "none" ? null : await options.egress.open(netPolicy);
  try {
    const request = buildRequest({
      runtime: { mounts: [...runtime.mounts, ...step.mounts] },
      step,
      argv,
      inputs: manifests.map((file) => inputOf(job, file)),
      folder: step.folder,
      limits,
      timeoutSec: options.timeoutSec,
      ...(gate === null ? {} : { proxySocket: gate.socketPath }),
      slot,
    });
    return await runBuild(options, job, { tool: TOOL, key, request, log });
  } finally {
    await gate?.close();
  }
}

function refused(problem: string): Built {
  return ended(outcomeWithoutRun("failed", TOOL.reason, problem));
}

function inTheWay(path: string, { folder }: InstallStep): string {
  return `Dependencies are installed in ${folder}, where the job has a file of its own: ${JSON.stringify(path)}.`;
}
