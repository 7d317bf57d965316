import type { Counter, Histogram } from "prom-client";

import type { Built, Compiler, Installer } from "../executor/executor.ts";
import type { Reason } from "../jobs/outcome.ts";
import type { Metrics } from "./metrics.ts";

interface BuildMetrics {
  readonly results: Counter<"result">;
  /** Of those that were not there already. */
  readonly durationSec: Histogram;
  /** Of a job that ends with a tool that failed. */
  readonly failure: Reason;
}

/** The compiler with its results counted, and its time measured. */
export function withCompileMetrics(compiler: Compiler, metrics: Metrics): Compiler {
  const { compiles: results, compileSec: durationSec } = metrics;
  const measures = { results, durationSec, failure: "compile_error" } as const;
  return { compile: (job, step) => measured(compiler.compile(job, step), measures) };
}

/** The same of the installer. */
export function withInstallMetrics(installer: Installer, metrics: Metrics): Installer {
  const { installs: results, installSec: durationSec } = metrics;
  const measures = { results, durationSec, failure: "install_error" } as const;
  return { install: (job, step) => measured(installer.install(job, step), measures) };
}

async function measured(
  building: Promise<Built>,
  { results, durationSec, failure }: BuildMetrics,
): Promise<Built> {
  const startedAtMs = performance.now();
  const built = await building;
  const result = resultOf(built, failure);
  if (result !== null) results.inc({ result });
  if (result === "made" || result === "failed")
    durationSec.observe((performance.now() - startedAtMs) / 1000);
  return built;
}

/** null where the tool was not what decided the end. */
function resultOf(built: Built, failure: Reason): "made" | "cached" | "failed" | null {
  if (built.kind === "made" || built.kind === "cached") return built.kind;
  return built.kind === "ended" && built.outcome.reason === failure ? "failed" : null;
}
