import { join } from "node:path";

import type { Config } from "./config.ts";
import type { Egress } from "./egress/egress.ts";
import type { BuildStepOptions } from "./executor/build-step.ts";
import { createCompiler } from "./executor/compile.ts";
import type { Compiler, Installer } from "./executor/executor.ts";
import { createInstaller } from "./executor/install.ts";
import { openLocalBuildCache } from "./files/local-build-cache.ts";
import { MIB } from "./jobs/limits.ts";
import { withCompileMetrics, withInstallMetrics } from "./metrics/build-metrics.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";

/*
 * A part of compose.ts: the steps of a job before its program, each with what it keeps for later jobs.
 */

/** In the folder of all jobs, where no job's id begins with a dot. */
const COMPILED_FOLDER = ".compiled";
const INSTALLED_FOLDER = ".installed";

/** Wires them. The `sandbox` is to be one whose starts are not taken for those of jobs' programs. */
export function composeSteps(
  config: Config,
  { sandbox, egress }: { readonly sandbox: Sandbox; readonly egress: Egress },
  metrics: Metrics,
): { readonly compiler: Compiler; readonly installer: Installer } {
  const stepOptions = (folder: string, cacheMb: number, timeoutSec: number): BuildStepOptions => ({
    sandbox,
    cache: openLocalBuildCache(join(config.jobDataDir, folder), {
      maxBytes: cacheMb * MIB,
      minFreeBytes: config.minFreeDiskMb * MIB,
    }),
    timeoutSec,
  });
  const { compileCacheMb, compileTimeoutSec, installCacheMb, installTimeoutSec } = config;
  const compiling = stepOptions(COMPILED_FOLDER, compileCacheMb, compileTimeoutSec);
  const installing = stepOptions(INSTALLED_FOLDER, installCacheMb, installTimeoutSec);
  return {
    compiler: withCompileMetrics(createCompiler(compiling), metrics),
    installer: withInstallMetrics(createInstaller({ ...installing, egress }), metrics),
  };
}
