import { Elysia } from "elysia";

import packageJson from "../../package.json" with { type: "json" };
import type { Bound } from "../jobs/limits.ts";
import type { SandboxStatus } from "../sandbox/sandbox.ts";
import type { ApiPorts } from "./ports.ts";

/** How long a store may take to answer a probe. */
const PROBE_TIMEOUT_MS = 2_000;
const STORE_AWAY = "The store does not answer.";

/** What this server is and can do: probes, health, runtimes. */
export function serverInfoRoutes(ports: ApiPorts) {
  return new Elysia({ name: "server-info" })
    .get("/livez", () => Response.json({ status: "ok" }))
    .get("/readyz", () => readiness(ports))
    .get("/health", () =>
      Response.json({
        status: "ok",
        version: packageJson.version,
        store: { kind: ports.store.kind },
        sandbox: sandboxView(ports.sandbox()),
      }),
    )
    .get("/runtimes", () => runtimes(ports));
}

function sandboxView(status: SandboxStatus | null) {
  // Jobs run in worker processes, each with a sandbox of its own.
  if (status === null)
    return { driver: null, ready: null, problems: [], gaps: [], cgroup: null, seccomp: null };
  const { driver, ready, problems, gaps, cgroup, seccomp } = status;
  return { driver, ready, problems, gaps, cgroup, seccomp };
}

async function readiness(ports: ApiPorts): Promise<Response> {
  const reasons: string[] = [];
  if (ports.draining.aborted) reasons.push("The server is shutting down.");
  const sandbox = ports.sandbox();
  if (sandbox?.ready === false) reasons.push("The sandbox did not pass its self-test.");
  const storeProblem = await probe(ports);
  if (storeProblem !== null) reasons.push(storeProblem);
  const status = reasons.length === 0 ? "ready" : "not_ready";
  return Response.json({ status, reasons }, { status: reasons.length === 0 ? 200 : 503 });
}

async function probe({ store }: ApiPorts): Promise<string | null> {
  const timeout = Promise.withResolvers<string>();
  const timer = setTimeout(timeout.resolve, PROBE_TIMEOUT_MS, STORE_AWAY);
  // Why is in the operator's log: a probe is open to everybody, and the reason names addresses.
  const answer = store.ping().then(
    () => null,
    () => STORE_AWAY,
  );
  const problem = await Promise.race([answer, timeout.promise]);
  clearTimeout(timer);
  return problem;
}

async function runtimes(ports: ApiPorts): Promise<Response> {
  const registry = await ports.runtimes();
  const { bounds, netPolicies } = ports.specs;
  return Response.json({
    items: registry.list().map(({ name, version, aliases, extensions }) => ({
      name,
      version,
      aliases,
      extensions,
      compiles: false,
    })),
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
