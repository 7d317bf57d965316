import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import packageJson from "../package.json" with { type: "json" };
import { errorStatuses } from "../src/api/problem.ts";
import { configHelp } from "../src/config.ts";
import { REASONS } from "../src/jobs/outcome.ts";
import { JOB_STATUSES } from "../src/jobs/states.ts";
import { type Deployment, DEPLOYMENTS } from "./support/deployments.ts";
import { Scrape } from "./support/prometheus-text.ts";
import { removeDataDir, type RunningService, startService } from "./support/service.ts";

/*
 * The README is a promise: its transcript is run as it stands there, and its tables are compared with what they tell of.
 */

const ROOT = join(import.meta.dir, "..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The text below a heading, up to the next heading of any level. */
function section(heading: string): string {
  const start = README.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`README.md has no heading ${heading}`);
  const body = README.slice(start + heading.length + 2);
  const end = body.search(/^#{1,3} /m);
  return end === -1 ? body : body.slice(0, end);
}

/** The rows of every table of a section, without the tables' heads; cells trimmed. */
function rowsOf(heading: string): readonly (readonly string[])[] {
  const tables = section(heading).match(/(?:^\|.*\n)+/gm) ?? [];
  return tables.flatMap((table) =>
    table
      .trimEnd()
      .split("\n")
      .slice(2)
      .map((row) => row.slice(1, -1).split("|").map(trimmed)),
  );
}

function trimmed(text: string): string {
  return text.trim();
}

/** What stands in code spans, in order. */
function codeIn(text = ""): readonly string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
}

/** The contents of a section's code blocks of one language. */
function codeBlocks(text: string, language: string): readonly string[] {
  const pattern = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...text.matchAll(pattern)].map((match) => match[1] ?? "");
}

interface Step {
  readonly command: string;
  readonly output: string;
}

/** The commands of the transcript, each with what it printed. */
const TRANSCRIPT: readonly Step[] = codeBlocks(section("## A first job"), "console").flatMap(
  (block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = "", ...output] = step.split("\n");
        return { command, output: output.join("\n") };
      }),
);

/** What differs between two runs, or two machines; whether memory ran out is only told where there are cgroups. */
const VARIES = new Set(
  "id url runtime usage oom request_id created_at started_at finished_at queue_position".split(" "),
);

/** An output with everything that may differ made equal: parsed where it is JSON, text otherwise. */
function comparable(output: string): unknown {
  if (output.startsWith("{"))
    return JSON.parse(output, (key, value: unknown) => (VARIES.has(key) ? "varies" : value));
  return output.trimEnd().replace(/^id: \d+-\d+\.\d+$/gm, "id: varies");
}

async function runCommand(command: string, job: string): Promise<string> {
  const child = Bun.spawn(["sh", "-c", command], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", JOB: job },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, complaints] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command} failed: ${complaints}`);
  return output;
}

test("the first screen has exactly two commands", () => {
  const firstScreen = README.slice(0, README.indexOf("\n## "));
  expect(codeBlocks(firstScreen, "sh")).toEqual([
    "./setup.sh && bun run src/main.ts\n",
    "./setup.sh --tests && bun test\n",
  ]);
});

describe.each(DEPLOYMENTS)("the transcript on $name", ({ start }) => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await start();
    await canRunJobs(deployment);
  }, 60_000);
  afterAll(() => deployment.stop());

  test("every command prints what stands below it", async () => {
    const { url } = deployment.api;
    let job = "";
    for (const { command, output } of TRANSCRIPT) {
      // What the reader does by hand: takes the id from the answer.
      if (command.startsWith("JOB=")) continue;
      const printed = await runCommand(command.replaceAll("http://127.0.0.1:8000", url), job);
      if (job === "") job = (JSON.parse(printed) as { id: string }).id;
      expect({ command, output: comparable(printed) }).toEqual({
        command,
        output: comparable(output),
      });
    }
    expect(job).not.toBe("");
  }, 60_000);
});

/** A worker that has just begun to work tells what it can run a moment later. */
async function canRunJobs({ api }: Deployment): Promise<void> {
  for (;;) {
    const { items } = (await (await fetch(`${api.url}/runtimes`)).json()) as { items: object[] };
    if (items.length > 0) return;
  }
}

describe("the tables", () => {
  let service: RunningService;
  beforeAll(async () => {
    service = await startService();
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    await removeDataDir(service.dataDir);
  });

  interface OpenApi {
    readonly paths: Readonly<Record<string, object>>;
    readonly components: {
      readonly schemas: Readonly<Record<"Job" | "JobSpec", { readonly properties: Properties }>>;
    };
  }
  interface Properties {
    readonly [name: string]: { readonly properties?: object };
  }
  const openApi = async () =>
    (await (await fetch(`${service.url}/openapi.json`)).json()) as OpenApi;
  const schema = async (name: "Job" | "JobSpec") => (await openApi()).components.schemas[name];

  test("of calls has every route of the server, and no other", async () => {
    const documented = rowsOf("## API").flatMap(([call]) => {
      const [code = ""] = codeIn(call);
      const path = code.slice(code.indexOf("/"));
      return code
        .slice(0, code.indexOf(" /"))
        .split(", ")
        .map((method) => `${method} ${path}`);
    });
    const served = Object.entries((await openApi()).paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(documented.toSorted()).toEqual(served.toSorted());
  });

  test("of the spec has every field, with the defaults and ceilings of a server that is not configured", async () => {
    const { properties } = await schema("JobSpec");
    const fields = Object.entries(properties).flatMap(([name, field]) =>
      field.properties === undefined
        ? [name]
        : Object.keys(field.properties).map((inner) => `${name}.${inner}`),
    );
    const rows = rowsOf("### The spec");
    expect(rows.flatMap(([name]) => codeIn(name)).toSorted()).toEqual(fields.toSorted());

    const documented = rows
      .filter(([, , standard]) => /^\d+$/.test(standard ?? ""))
      .map(([name, , standard, ceiling]) => [
        codeIn(name)[0]?.replace("limits.", ""),
        { default: Number(standard), max: Number(ceiling) },
      ]);
    const { limits } = (await (await fetch(`${service.url}/runtimes`)).json()) as {
      limits: object;
    };
    expect(Object.fromEntries(documented)).toEqual(limits);
  });

  test("of the job has every field, status and reason", async () => {
    const { properties } = await schema("Job");
    const rows = rowsOf("### The job");
    expect(rows.flatMap(([name]) => codeIn(name)).toSorted()).toEqual(
      Object.keys(properties).toSorted(),
    );
    const named = (field: string) =>
      codeIn(rows.find(([name]) => name === `\`${field}\``)?.[1]).toSorted();
    expect(named("status")).toEqual([...JOB_STATUSES].toSorted());
    expect(named("reason")).toEqual([...REASONS].toSorted());
  });

  test("of errors has every code with its status, and the example is what the server answers", async () => {
    const documented = rowsOf("### Errors").flatMap(([status, codes]) =>
      codeIn(codes)
        .filter((code) => code !== "Retry-After")
        .map((code) => [code, Number(status)]),
    );
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(errorStatuses()));

    const form = new FormData();
    form.append("spec", '{"entry":"main.py","timeout":20}');
    const answer = await fetch(`${service.url}/jobs`, { method: "POST", body: form });
    const [example = ""] = codeBlocks(section("### Errors"), "json");
    expect(comparable(await answer.text())).toEqual(comparable(example));
  });

  test("of metrics has every one that the server gives, with its labels, and no other", async () => {
    const rows = rowsOf("## Watching it");
    const scrape = new Scrape(await (await fetch(`${service.url}/metrics`)).text());
    expect(rows.flatMap(([names]) => codeIn(names)).toSorted()).toEqual(scrape.names().toSorted());
    const documented = new Map(
      rows.flatMap(([names, labels]) => codeIn(names).map((name) => [name, codeIn(labels)])),
    );
    for (const { name, labels } of scrape.labelled())
      expect([name, documented.get(name)]).toEqual([name, labels]);
  });

  test("of the environment is what --help prints", () => {
    const documented = rowsOf("## Configuration").map(([name, standard = "", help]) => [
      codeIn(name)[0],
      codeIn(standard)[0] ?? standard,
      help,
    ]);
    const printed = configHelp()
      .split("\n")
      .map((line) => /^ {2}(\w+) +(\S*?) {2,}(.+)$/.exec(line)?.slice(1) ?? [])
      // The default is the number of cores of the machine that prints it.
      .map(([name, standard, help]) => [
        name,
        name === "WORKER_CONCURRENCY" ? "cores" : standard,
        help,
      ]);
    expect(documented).toEqual(printed);
  });

  test("of dependencies has those of package.json", () => {
    const documented = rowsOf("## Dependencies").flatMap(([names]) => codeIn(names));
    const { dependencies, devDependencies } = packageJson;
    expect(documented.toSorted()).toEqual(
      Object.keys({ ...dependencies, ...devDependencies }).toSorted(),
    );
  });
});

test("every example is told of, and every link leads somewhere", () => {
  const links = [...README.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] ?? "");
  const folders = readdirSync(join(ROOT, "examples"), { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => name);
  const linked = links.flatMap((link) => /^examples\/([^/]+)\/run\./.exec(link)?.[1] ?? []);
  expect(linked.toSorted()).toEqual(folders.toSorted());

  const headings = [...README.matchAll(/^#{1,3} (.+)$/gm)].map(
    (match) => `#${(match[1] ?? "").toLowerCase().replaceAll(" ", "-")}`,
  );
  const dead = links.filter((link) => {
    if (link.startsWith("https://")) return false;
    return link.startsWith("#") ? !headings.includes(link) : !existsSync(join(ROOT, link));
  });
  expect(dead).toEqual([]);
});

test("the layout names every folder of src/", () => {
  const [tree = ""] = codeBlocks(section("## Development"), "");
  const told = [...tree.matchAll(/^ {2}(\w+)\//gm)].map((match) => match[1] ?? "");
  const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => name);
  expect(told.toSorted()).toEqual(folders.toSorted());
});
