import type { Built, Compiler } from "../executor/executor.ts";
import type { Metrics } from "./metrics.ts";

/** The compiler with its results counted, and the time measured that those take which were not there already. */
export function withCompileMetrics(
  compiler: Compiler,
  { compiles, compileSec }: Pick<Metrics, "compiles" | "compileSec">,
): Compiler {
  return {
    async compile(job, step) {
      const startedAtMs = performance.now();
      const compiled = await compiler.compile(job, step);
      const result = resultOf(compiled);
      if (result !== null) compiles.inc({ result });
      if (result === "made" || result === "failed")
        compileSec.observe((performance.now() - startedAtMs) / 1000);
      return compiled;
    },
  };
}

/** null where the compiler was not what decided the end. */
function resultOf(compiled: Built): "made" | "cached" | "failed" | null {
  if (compiled.kind === "made" || compiled.kind === "cached") return compiled.kind;
  const isFailure = compiled.kind === "ended" && compiled.outcome.reason === "compile_error";
  return isFailure ? "failed" : null;
}
