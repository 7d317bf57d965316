import { residentBytes } from "../test/faults/memory.ts";
import { startBareServer } from "./bare-server.ts";
import type { Bench } from "./bench.ts";
import { calm } from "./calm.ts";
import { type Deployment, startDeployment, storesHere, withDeployments } from "./deployment.ts";
import { HELLO } from "./hello.ts";
import { HttpConnection } from "./http-connection.ts";
import { runJob, submitRequest } from "./job-client.ts";
import { childrenOf, descendantsOf, nameOf, proportionalBytes } from "./process-use.ts";
import type { Row } from "./table.ts";

/*
 * What the service takes while nobody asks for anything: its own process before the first job (RSS), and, after some Python
 * jobs, each sandbox in which a Python waits for the next one. Of processes that share their libraries each has its part
 * (PSS).
 */

const ENTRY = "hello.py";
const JOB = { spec: { entry: ENTRY }, files: { [ENTRY]: `print("${HELLO}")\n` } };
/** Enough for the service to have learned what comes. */
const JOBS = 10;
const MEBIBYTE = 1024 * 1024;

export async function measureMemory(bench: Bench): Promise<readonly Row[]> {
  bench.say("memory");
  const server = await startBareServer();
  const serverBytes = residentBytes(server.pid);
  await server.stop();
  const pythonBytes = await idlePythonBytes(bench);
  const rows: Row[] = [];
  for (const store of storesHere)
    rows.push(
      ...(await withDeployments([() => startDeployment(store)], async ([deployment]) => {
        if (deployment === undefined) return [];
        const serviceBytes = residentBytes(deployment.service.pid);
        return [
          {
            what: `memory of the service at rest, ${store}`,
            unit: "MiB",
            value: serviceBytes / MEBIBYTE,
            yardstick: { name: "bare Bun.serve", value: serverBytes / MEBIBYTE },
          },
          {
            what: `memory of a sandbox that waits with a started Python, ${store}`,
            unit: "MiB",
            value: (await waitingBytes(deployment)) / MEBIBYTE,
            yardstick: { name: "bare python that waits", value: pythonBytes / MEBIBYTE },
          },
        ];
      })),
    );
  return rows;
}

/** Of one that waits for its input. */
async function idlePythonBytes(bench: Bench): Promise<number> {
  const { binary } = bench.runtimes.resolve("python3", ENTRY).runtime;
  const source = 'print("ready", flush=True)\ninput()\n';
  const child = Bun.spawn([binary, "-c", source], { env: {}, stdio: ["pipe", "pipe", "ignore"] });
  await child.stdout.getReader().read();
  const bytes = proportionalBytes([child.pid]);
  child.kill("SIGKILL");
  await child.exited;
  return bytes;
}

/** By each sandbox in which, after some jobs, a Python waits: there may be others with nothing in them. NaN where none does. */
async function waitingBytes({ service: { url, pid } }: Deployment): Promise<number> {
  const connection = await HttpConnection.open(url);
  for (let job = 0; job < JOBS; job += 1) await runJob(connection, submitRequest(url, JOB), HELLO);
  connection.close();
  await calm(pid);
  const withPython = childrenOf(pid)
    .map((sandbox) => [sandbox, ...descendantsOf(sandbox)])
    .filter((pids) => pids.some((each) => nameOf(each).startsWith("python")));
  return proportionalBytes(withPython.flat()) / withPython.length;
}
