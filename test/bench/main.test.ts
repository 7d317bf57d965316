import { expect, test } from "bun:test";

import { hasRedisServer } from "../support/redis-server.ts";
import { ROOT } from "../support/service.ts";

const stores = hasRedisServer() ? ["sqlite", "redis"] : ["sqlite"];

test("a quick run of some lines prints its conditions and the table", async () => {
  const child = Bun.spawn(
    [process.execPath, "run", "bench/main.ts", "--quick", "--only", "claim,start-up"],
    {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const [printed, complaints, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ exitCode, complaints }).toMatchObject({ exitCode: 0 });
  expect(printed).toContain(`Bun ${Bun.version}`);
  const rows = printed.split("\n").filter((line) => line.startsWith("| "));
  // The head and the line below it, two lines of claims and one of the start for each store.
  expect(rows).toHaveLength(2 + 3 * stores.length);
  for (const store of stores)
    expect(
      rows.filter((row) => row.startsWith(`| claim with`) && row.includes(store)),
    ).toHaveLength(2);
  // Every figure was measured.
  expect(rows.filter((row) => row.includes("?"))).toEqual([]);
}, 60_000);

test("a group that there is not is told of with those that there are", async () => {
  const child = Bun.spawn([process.execPath, "run", "bench/main.ts", "--only", "weather"], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const complaints = await new Response(child.stderr).text();
  expect(await child.exited).not.toBe(0);
  expect(complaints).toContain("There is no group weather, only latency,throughput,");
}, 60_000);
