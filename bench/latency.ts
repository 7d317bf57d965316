import type { Bench } from "./bench.ts";
import {
  type Deployment,
  type StoreKind,
  startDeployment,
  storesHere,
  withDeployments,
} from "./deployment.ts";
import { HELLO, type HelloProgram, helloPrograms } from "./hello.ts";
import { HttpConnection } from "./http-connection.ts";
import { runJob, submitRequest } from "./job-client.ts";
import { measure, type Pace, quantile, type Results, timed, WARM_UP_ROUNDS } from "./measure.ts";
import type { Row, Target } from "./table.ts";

/*
 * How long a client waits for one small job, with nothing else to do: from the first byte of POST /jobs to the event `end`
 * of its stream, in turns with the bare interpreter that runs the same program. One of the two begins every 50 ms, so that
 * there are ten jobs a second (fewer of a language of which one takes longer).
 */

const SLOT_MS = 50;

const POOLS = ["warm", "cold"] as const;
type Pool = (typeof POOLS)[number];

export async function measureLatency(bench: Bench): Promise<readonly Row[]> {
  const programs = helloPrograms(bench);
  const rows: Row[] = [];
  for (const store of storesHere)
    for (const pool of POOLS) {
      bench.say(`latency: ${store}, ${pool}`);
      const start = () => startDeployment(store, pool === "cold" ? { WARM_POOL_MB: "0" } : {});
      rows.push(
        ...(await withDeployments([start], async ([deployment]) =>
          deployment === undefined ? [] : await measureAll(bench, programs, { deployment, pool }),
        )),
      );
    }
  return rows;
}

async function measureAll(
  bench: Bench,
  programs: readonly HelloProgram[],
  { deployment, pool }: { readonly deployment: Deployment; readonly pool: Pool },
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const program of programs) {
    const rounds = bench.isQuick ? 2 : program.language === "python" ? 150 : 40;
    const warmUpRounds = bench.isQuick ? 1 : WARM_UP_ROUNDS;
    const pace = { rounds, warmUpRounds, slotMs: SLOT_MS };
    const results = await measureProgram(program, deployment.service.url, pace);
    rows.push(...rowsOf(program, results, { store: deployment.store, pool }));
  }
  return rows;
}

async function measureProgram(program: HelloProgram, url: string, pace: Pace): Promise<Results> {
  const connection = await HttpConnection.open(url);
  const request = submitRequest(url, program.job);
  try {
    return await measure(pace, [
      timed("bare", program.runBare),
      async () => ({ ...(await runJob(connection, request, HELLO)) }),
    ]);
  } finally {
    connection.close();
  }
}

function rowsOf(
  { language, bareName }: HelloProgram,
  results: Results,
  { store, pool }: { readonly store: StoreKind; readonly pool: Pool },
): readonly Row[] {
  const { bare = [], endMs = [], firstByteMs = [] } = results;
  const yardstick = { name: bareName, value: quantile(bare, 0.5) };
  const row = (what: string, times: readonly number[]): Row => ({
    what: `${language}, ${pool}, ${store}: POST to ${what}`,
    unit: "ms",
    value: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    yardstick,
  });
  const target = targetOf(language, store, pool);
  return [
    { ...row("`end`", endMs), ...(target === null ? {} : { targets: [target] }) },
    ...(language === "python" ? [row("first byte", firstByteMs)] : []),
  ];
}

/** What a started interpreter that waits for its job is to save, and what a sandbox may cost where none waits. */
function targetOf(language: string, store: StoreKind, pool: Pool): Target | null {
  if (language === "python" && pool === "cold") return { of: "excess", atMost: 20 };
  if (language === "python") return { of: "ratio", atMost: store === "sqlite" ? 0.8 : 0.9 };
  if (language === "node" && pool === "warm") return { of: "ratio", atMost: 0.5 };
  return null;
}
