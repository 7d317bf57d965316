import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { eventually } from "./contract/store-harness.ts";
import { submitPython } from "./support/client.ts";
import { removeDataDir, startService } from "./support/service.ts";

/*
 * The README's ScaledObject against a real /stats: KEDA says nothing of a path that leads nowhere but that it cannot scale.
 */

const README = readFileSync(join(import.meta.dir, "../README.md"), "utf8");

/** The part that is read of a resource. */
interface ScaledObject {
  readonly kind?: string;
  readonly spec: {
    readonly triggers: readonly {
      readonly type: string;
      readonly metadata: Readonly<Record<string, string>>;
    }[];
  };
}

/**
 * What KEDA's metrics-api scaler makes of an answer in JSON (getValueFromResponse in its pkg/scalers/metrics_api_scaler.go):
 * the number at a path of GJSON, which is names with dots between. Anything else, null too, is an error.
 */
function metricAt(body: string, valueLocation: string): number {
  const value = valueLocation
    .split(".")
    .reduce<unknown>(
      (at, name) => (at as Readonly<Record<string, unknown>> | null)?.[name],
      JSON.parse(body),
    );
  if (typeof value === "number") return value;
  throw new Error(`valueLocation must point to a number, not to ${JSON.stringify(value)}`);
}

const scaled = [...README.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)]
  .map((match) => Bun.YAML.parse(match[1] ?? "") as ScaledObject)
  .find(({ kind }) => kind === "ScaledObject");

test("what the ScaledObject scales by counts the jobs that wait and run, and queue.total those that wait", async () => {
  const [trigger] = scaled?.spec.triggers ?? [];
  expect(trigger?.type).toBe("metrics-api");
  const { url = "", valueLocation = "" } = trigger?.metadata ?? {};
  const service = await startService({ env: { WORKER_CONCURRENCY: "1" } });
  const stats = async () => await (await fetch(service.url + new URL(url).pathname)).text();
  for (const path of [valueLocation, "queue.total"]) expect(metricAt(await stats(), path)).toBe(0);
  for (let job = 0; job < 3; job++)
    await submitPython(service.url, "import time\ntime.sleep(60)", { timeout_sec: 60 });
  const busy = await eventually(stats, (text) => metricAt(text, "running") === 1);
  expect(metricAt(busy, valueLocation)).toBe(3);
  expect(metricAt(busy, "queue.total")).toBe(2);
  await service.kill9();
  await removeDataDir(service.dataDir);
}, 60_000);

test("what is not known is an error to it, and no 0", () => {
  const body = '{"queue":null,"unfinished":null}';
  for (const path of ["unfinished", "queue.total"])
    expect(() => metricAt(body, path)).toThrow("must point to a number");
});
