import { expect, test } from "bun:test";

import { hasRedisServer } from "../support/redis-server.ts";
import { ROOT } from "../support/service.ts";

const stores = hasRedisServer() ? ["sqlite", "redis"] : ["sqlite"];

test("a quick run of some groups prints its conditions and the table", async () => {
  const groups = "latency,log-rate,claim,start-up";
  const child = Bun.spawn([process.execPath, "run", "bench/main.ts", "--quick", "--only", groups], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [printed, complaints, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ exitCode, complaints }).toMatchObject({ exitCode: 0 });
  expect(printed).toContain(`Bun ${Bun.version}`);
  const [, , ...rows] = printed.split("\n").filter((line) => line.startsWith("| "));
  for (const store of stores) {
    const count = (begin: string) =>
      rows.filter((row) => row.startsWith(`| ${begin}`) && row.includes(store)).length;
    const counts = {
      latencies: ["warm", "cold"].flatMap((pool) => [
        count(`python, ${pool}, `),
        count(`bash, ${pool}, `),
      ]),
      logRates: count("log of 2 MB in lines of 100 B, "),
      memoryOfLogs: count("memory that this takes of the service at most, "),
      claims: count("claim with "),
      starts: count("start to the first 200 on /livez, "),
    };
    expect([store, counts]).toEqual([
      store,
      { latencies: [2, 1, 2, 1], logRates: 3, memoryOfLogs: 1, claims: 2, starts: 1 },
    ]);
  }
  // Every figure was measured.
  expect(rows.filter((row) => row.includes("?"))).toEqual([]);
}, 120_000);

test("a group that there is not is told of with those that there are", async () => {
  const child = Bun.spawn([process.execPath, "run", "bench/main.ts", "--only", "weather"], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const complaints = await new Response(child.stderr).text();
  expect(await child.exited).not.toBe(0);
  expect(complaints).toContain("There is no group weather, only latency,throughput,");
}, 60_000);
