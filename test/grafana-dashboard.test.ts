import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { runPython } from "./support/client.ts";
import { Scrape } from "./support/prometheus-text.ts";
import { removeDataDir, type RunningService, startService } from "./support/service.ts";

/*
 * docker/grafana-dashboard.json against a real scrape: a panel that asks for a metric or a label that is not there stays empty,
 * and looks like a service at rest.
 */

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
}
interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets: readonly Target[];
}
interface Variable {
  readonly name: string;
  readonly definition?: string;
}
interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}

const dashboard = JSON.parse(
  readFileSync(join(import.meta.dir, "../docker/grafana-dashboard.json"), "utf8"),
) as Dashboard;

const targets = dashboard.panels.flatMap(({ title, targets: all }) =>
  all.map((target) => ({ title, ...target })),
);
const expressions = targets.map(({ expr }) => expr);

/** Whatever is named like one of our metrics, or of the process. */
const METRIC = /\b(?:jobrunner|process)_\w+/g;

/** The family of a sample, such as the histogram of a bucket. */
function familyOf(sample: string): string {
  return sample.replace(/_bucket$/, "");
}

/** What Prometheus adds to every sample of a target. */
const TARGET_LABELS = ["job", "instance"];

let service: RunningService;
let scrape: Scrape;

beforeAll(async () => {
  service = await startService();
  await runPython(service.url, "print('hello')");
  await runPython(service.url, "raise SystemExit(1)");
  scrape = new Scrape(await (await fetch(`${service.url}/metrics`)).text());
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

/** The labels of the samples of a metric; null where there is none yet. */
function labelsOf(sample: string): readonly string[] | null {
  const found = scrape.labelled().find(({ name }) => name === familyOf(sample));
  if (found === undefined) return null;
  return [...found.labels, ...TARGET_LABELS, ...(sample.endsWith("_bucket") ? ["le"] : [])];
}

describe("the dashboard", () => {
  test("asks for metrics that there are, in every expression", () => {
    for (const expr of expressions) {
      const asked = expr.match(METRIC) ?? [];
      expect(asked.length).toBeGreaterThan(0);
      expect(asked.filter((name) => !scrape.has(familyOf(name)))).toEqual([]);
    }
    for (const { definition = "" } of dashboard.templating.list)
      for (const name of definition.match(METRIC) ?? []) expect(scrape.has(name)).toBe(true);
  });

  test("leaves none of ours out", () => {
    const asked = new Set(expressions.flatMap((expr) => expr.match(METRIC) ?? []).map(familyOf));
    expect(scrape.names().filter((name) => !asked.has(name))).toEqual([]);
  });

  test("picks, groups and names by labels that the metric has", () => {
    for (const { title, expr, legendFormat } of targets) {
      const [metric = ""] = expr.match(METRIC) ?? [];
      const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap((match) =>
        (match[1] ?? "").split(", "),
      );
      const picked = [...expr.matchAll(/(\w+)=~?"/g)].map((match) => match[1] ?? "");
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1] ?? "");
      const labels = labelsOf(metric);
      if (labels === null) {
        // Nothing has failed in this test: the README's table, which is held against the server too, has its labels.
        expect([title, metric]).toEqual([title, "jobrunner_store_errors_total"]);
        continue;
      }
      const unknown = [...grouped, ...picked, ...shown].filter((name) => !labels.includes(name));
      expect([title, unknown]).toEqual([title, []]);
      // Of what a grouping takes away, a legend shows nothing.
      if (grouped.length > 0)
        expect([title, shown.filter((name) => !grouped.includes(name))]).toEqual([title, []]);
    }
  });

  test("is one that Grafana takes: panels with ids of their own, side by side, and variables that exist", () => {
    expect(dashboard.uid).toBe("job-runner");
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { title, description, gridPos, targets: all } of dashboard.panels) {
      expect(description).not.toBe("");
      expect([title, gridPos.x + gridPos.w <= 24]).toEqual([title, true]);
      expect(new Set(all.map(({ refId }) => refId)).size).toBe(all.length);
    }
    const variables = new Set(dashboard.templating.list.map(({ name }) => name));
    const used = JSON.stringify(dashboard).match(/\$\{?(?!__)\w+/g) ?? [];
    for (const name of used) expect(variables).toContain(name.replace(/^\$\{?/, ""));
  });
});
