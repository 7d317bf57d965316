import { Elysia } from "elysia";

import packageJson from "../../package.json" with { type: "json" };
import type { Bound } from "../jobs/limits.ts";
import { absentLanguages } from "../runtimes/languages.ts";
import type { SandboxStatus } from "../sandbox/sandbox.ts";
import type { ApiPorts } from "./ports.ts";
import { NoQuery } from "./request-schemas.ts";

/** What this server is and can do: health, runtimes. */
export function serverInfoRoutes(ports: ApiPorts) {
  return new Elysia({ name: "server-info" })
    .get("/health", () => health(ports), { query: NoQuery })
    .get("/runtimes", () => runtimes(ports), { query: NoQuery });
}

function health(ports: ApiPorts): Response {
  return Response.json({
    status: "ok",
    version: packageJson.version,
    store: { kind: ports.store.kind },
    sandbox: sandboxView(ports.sandbox()),
  });
}

function sandboxView(status: SandboxStatus | null) {
  // Jobs run in worker processes, each with a sandbox of its own.
  if (status === null)
    return { driver: null, ready: null, problems: [], gaps: [], cgroup: null, seccomp: null };
  const { driver, ready, problems, gaps, cgroup, seccomp } = status;
  return { driver, ready, problems, gaps, cgroup, seccomp };
}

async function runtimes(ports: ApiPorts): Promise<Response> {
  const found = (await ports.runtimes()).list();
  const { bounds, netPolicies } = ports.specs;
  return Response.json({
    items: found.map(({ name, version, aliases, extensions, compiles, installs }) => ({
      name,
      version,
      aliases,
      extensions,
      compiles,
      installs,
    })),
    // Before anything is found, nothing is known to be absent.
    absent: found.length === 0 ? [] : absentLanguages(found, ports.languages),
    limits: {
      timeout_sec: boundView(bounds.timeoutSec),
      memory_mb: boundView(bounds.memoryMb),
      cpu_sec: boundView(bounds.cpuSec),
      processes: boundView(bounds.processes),
      disk_mb: boundView(bounds.diskMb),
      output_mb: boundView(bounds.outputMb),
    },
    net_policies: netPolicies,
  });
}

function boundView(bound: Bound) {
  return { default: bound.default, max: bound.max };
}
