import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import packageJson from "../package.json" with { type: "json" };
import { removeDataDir, ROOT, type RunningService, startService } from "./support/service.ts";

/*
 * The package as `bun pm pack` makes it, installed in somebody else's project: the client can be imported, has its types, and
 * works. The versions of what it depends on are those of bun.lock, which `bun install` here has put into Bun's cache: so
 * nothing is downloaded.
 */

/** What `bun init` writes, in the part that has to do with types. */
const TSCONFIG = {
  compilerOptions: {
    lib: ["ESNext"],
    target: "ESNext",
    module: "Preserve",
    moduleDetection: "force",
    moduleResolution: "bundler",
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    noFallthroughCasesInSwitch: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    types: ["bun-types"],
  },
  include: ["main.ts"],
};

const MAIN = `
import type { App } from "job-runner/app";
import { createClient } from "job-runner/client";
import { followLog } from "job-runner/follow-log";
import { treaty } from "@elysiajs/eden";

const [url = ""] = process.argv.slice(2);
const client = createClient(url);
const { data: job, error } = await client.jobs.post({
  entry: "main.py",
  files: [{ path: "main.py", content: "print(6 * 7)" }],
});
if (error !== null) throw new Error(error.value.detail);
const id: string = job.id;
for await (const { name, data } of followLog(url, id)) if (name === "message") console.log(data);
const { data: ended } = await treaty<App>(url).jobs({ id }).get();
const exitCode: number | null | undefined = ended?.exit_code;
console.log(\`exit code \${exitCode}\`);
`;

/** A word in the program above, what stands in its place, and the complaint of the compiler. */
const MISTAKES: readonly (readonly [word: string, mistake: string, complaint: RegExp])[] = [
  ['entry: "main.py"', "entry: 1", /'number' is not assignable to type 'string'/],
  ["client.jobs.post", "client.job.post", /'job' does not exist/],
  ["id: string", "id: number", /'string' is not assignable to type 'number'/],
  ["error.value.detail", "error.value.details", /'details' does not exist/],
  ["ended?.exit_code", "ended?.exitCode", /'exitCode' does not exist/],
];

const ARCHIVE = "file:./job-runner.tgz";
const archiveIn = (folder: string) => join(folder, "job-runner.tgz");

let folder: string;
let service: RunningService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "job-runner-consumer-"));
  service = await startService();
  await run([process.execPath, "pm", "pack", "--quiet", "--filename", archiveIn(folder)], ROOT);
  const project = { name: "consumer", type: "module", dependencies: { "job-runner": ARCHIVE } };
  await Bun.write(join(folder, "package.json"), JSON.stringify(project));
  await Bun.write(join(folder, "bun.lock"), JSON.stringify(await lockOf(project)));
  const install = [process.execPath, "install", "--production", "--prefer-offline"];
  const { exitCode, output } = await run(install, folder);
  if (exitCode !== 0) throw new Error(`The package cannot be installed: ${output}`);
  // The project's own, as @types/bun would be.
  await symlink(join(ROOT, "node_modules/bun-types"), join(folder, "node_modules/bun-types"));
  await Bun.write(join(folder, "tsconfig.json"), JSON.stringify(TSCONFIG));
}, 60_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
  await rm(folder, { recursive: true, force: true });
});

/** The lock file of a project that depends on the package alone, with the versions that are tested here. */
async function lockOf(project: { readonly name: string; readonly dependencies: object }) {
  const lock = Bun.JSONC.parse(await Bun.file(join(ROOT, "bun.lock")).text()) as {
    readonly packages: Readonly<Record<string, unknown>>;
  };
  const { name, dependencies } = project;
  const own = [
    `job-runner@${ARCHIVE.replace("file:", "")}`,
    { dependencies: packageJson.dependencies },
  ];
  return {
    ...lock,
    workspaces: { "": { name, dependencies } },
    packages: { ...lock.packages, "job-runner": own },
  };
}

async function run(
  command: readonly string[],
  cwd: string,
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const child = Bun.spawn([...command], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, output: stdout + stderr };
}

/** What the compiler says of a program in the consumer's project; empty where it has nothing to complain of. */
async function complaintsOf(program: string): Promise<string> {
  await Bun.write(join(folder, "main.ts"), program);
  const { exitCode, output } = await run([process.execPath, "check"], folder);
  return exitCode === 0 ? "" : output;
}

test("a project that imports the client compiles, and runs", async () => {
  expect(await complaintsOf(MAIN)).toBe("");
  const ran = await run([process.execPath, "main.ts", service.url], folder);
  expect(ran).toEqual({ exitCode: 0, output: "42\nexit code 0\n" });
}, 60_000);

test.each(MISTAKES)(
  "%j in place of which stands %j does not compile",
  async (...mistake) => {
    const [word, wrong, complaint] = mistake;
    expect(MAIN).toContain(word);
    expect(await complaintsOf(MAIN.replace(word, wrong))).toMatch(complaint);
  },
  60_000,
);

test("the client, bundled for a browser, needs nothing that only a server has", async () => {
  const built = await Bun.build({
    entrypoints: ["client", "follow-log"].map((name) => join(ROOT, `src/client/${name}.ts`)),
    target: "browser",
  });
  const scripts = await Promise.all(built.outputs.map((output) => output.text()));
  expect(scripts).toHaveLength(2);
  expect(scripts.join("")).not.toMatch(/\bfrom "|\brequire\(|\bBun\.|\bprocess\./);
});

test("the package holds the sources and what tells of them, and nothing else", async () => {
  const { output } = await run(["tar", "-tzf", archiveIn(folder)], folder);
  const names = output
    .trim()
    .split("\n")
    .map((path) => path.replace(/^package\//, ""));
  const others = names.filter((name) => !name.startsWith("src/"));
  expect(others.toSorted()).toEqual(["LICENSE", "README.md", "package.json"]);
});
