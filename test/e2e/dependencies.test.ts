import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { getJob, submissionForm, type Submission, waitForEnd } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { INDEX_ENV, INSTALL, PackageIndex } from "../support/package-index.ts";
import {
  runJob,
  runtimesOf,
  startReady,
  stopAndRemove,
  untilReady,
} from "../support/ready-service.ts";
import { unlessAbsent } from "../support/runtimes.ts";

/* What a job's manifest names is there for its program, by the tools themselves, from an index of this machine. */

const SLOW_MS = 60_000;

const index = new PackageIndex();
afterAll(() => index.stop());

/** A name that no other test has asked for. */
const freshName = () => `p${crypto.randomUUID().replaceAll("-", "")}`;

interface Kind {
  readonly language: string;
  readonly manifest: string;
  /** Puts a package on the index that says a word. */
  readonly add: (name: string, word: string) => void;
  /** A job that prints what the package says, changes the package's file, and leaves one of its own. */
  readonly job: (name: string) => Submission;
}

const javascript = (language: string): Kind => ({
  language,
  manifest: "package.json",
  add: (name, word) =>
    index.addNpm(name, { "index.js": `module.exports = ${JSON.stringify(word)};\n` }),
  job: (name) => ({
    spec: { entry: "main.cjs", runtime: language, ...INSTALL },
    code: {
      "main.cjs": `const fs = require("node:fs");
console.log(require("${name}"));
fs.appendFileSync("node_modules/${name}/index.js", 'module.exports = "changed";');
fs.writeFileSync("node_modules/${name}/new.js", "");
fs.writeFileSync("out.txt", "x");
`,
      "package.json": JSON.stringify({ dependencies: { [name]: "1.0.0" } }),
      ".npmrc": index.npmrc,
    },
  }),
});

const KINDS: readonly Kind[] = [
  {
    language: "python",
    manifest: "requirements.txt",
    add: (name, word) => index.addWheel(name, { [`${name}/__init__.py`]: `WORD = "${word}"\n` }),
    job: (name) => ({
      spec: { entry: "main.py", ...INSTALL },
      code: {
        "main.py": `import ${name} as package
print(package.WORD)
open(package.__file__, "a").write("WORD = 'changed'\\n")
open(package.__file__ + ".new", "w").close()
open("out.txt", "w").write("x")
`,
        "requirements.txt": index.requirements(name),
      },
    }),
  },
  javascript("node"),
  javascript("bun"),
];

describe.each(DEPLOYMENTS)("dependencies on $name", ({ start }) => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await start(INDEX_ENV);
    await untilReady(deployment.api);
  }, SLOW_MS);
  afterAll(() => deployment.stop());

  test.each(KINDS)(
    "of $language are installed once for all jobs with the manifest, each of which has its own",
    async ({ language, manifest, add, job }) => {
      const { api } = deployment;
      const { items, absent } = await runtimesOf(api);
      await unlessAbsent(language, absent, async () => {
        const runtime = items.find(({ name, aliases }) => [name, ...aliases].includes(language));
        expect(runtime?.installs).toBe(manifest);
        const [name, otherName] = [freshName(), freshName()];
        add(name, "one");
        add(otherName, "two");
        const first = await runJob(api, job(name));
        expect(first).toMatchObject({ stdout: "one\n", stderr: "" });
        expect(first.job.artifacts.map((artifact) => artifact.name)).toEqual(["out.txt"]);
        expect(first.installer).not.toBe("");
        expect(first.job.install_usage?.cpu_ms).toBeGreaterThan(0);
        const visits = index.visits.length;
        const second = await runJob(api, job(name));
        expect(second).toMatchObject({ stdout: "one\n", stderr: "", installer: "" });
        expect(second.job.install_usage).toBeNull();
        expect(index.visits).toHaveLength(visits);
        const other = await runJob(api, job(otherName));
        expect(other).toMatchObject({ stdout: "two\n", stderr: "" });
        expect(index.visits.length).toBeGreaterThan(visits);
      });
    },
    SLOW_MS,
  );

  test(
    "that are nowhere end the job, with the installer's words in a stream of their own",
    async () => {
      const name = freshName();
      const { job, stdout, stderr, installer } = await runJob(deployment.api, KINDS[0]!.job(name));
      expect(job).toMatchObject({
        status: "failed",
        reason: "install_error",
        exit_code: 1,
        usage: null,
        error: "The installer did not install the dependencies; the log says why.",
      });
      expect([stdout, stderr]).toEqual(["", ""]);
      expect(installer).toContain(`No matching distribution found for ${name}`);
    },
    SLOW_MS,
  );
});

describe("what may be asked for", () => {
  /** The complaint about a spec that is sent; each names the field. */
  async function refusal(url: string, { spec, code }: Submission): Promise<string> {
    const body = submissionForm({ spec, code: code ?? {} });
    const response = await fetch(`${url}/jobs`, { method: "POST", body });
    const { errors } = (await response.json()) as { errors: { pointer: string; detail: string }[] };
    expect([response.status, errors.map(({ pointer }) => pointer)]).toEqual([
      422,
      ["/spec/install"],
    ]);
    return errors[0]!.detail;
  }
  const python = { "main.py": "", "requirements.txt": "" };

  test(
    "a network, a runtime with an installer, and its manifest; a job that runs again installs again",
    async () => {
      const service = await startReady(INDEX_ENV);
      try {
        const { url } = service;
        const asked = (entry: string, code: Submission["code"], more = {}) =>
          refusal(url, { spec: { entry, ...INSTALL, ...more }, code: code ?? {} });
        expect(await asked("main.py", python, { net_policy: "none" })).toContain("net_policy");
        expect(await asked("main.sh", { "main.sh": "" })).toMatch(
          /for bash here; .*\(requirements.txt\)/,
        );
        const missing = "a file requirements.txt, which is not among the job's code files";
        expect(await asked("main.py", { "main.py": "" })).toContain(missing);
        expect(await asked("main.py", { "main.py": "", "a/requirements.txt": "" })).toContain(
          missing,
        );
        const { job } = await runJob(service, {
          spec: { entry: "main.py", ...INSTALL },
          code: python,
        });
        expect(job).toMatchObject({ status: "succeeded", spec: { install: true } });
        const rerun = await fetch(`${url}/jobs/${job.id}/rerun`, { method: "POST" });
        const { id } = (await rerun.json()) as { id: string };
        await waitForEnd(url, id);
        expect(await getJob(url, id)).toMatchObject({ spec: { install: true } });
      } finally {
        await stopAndRemove(service);
      }
    },
    SLOW_MS,
  );

  test(
    "of a server that gives jobs no network, not at all",
    async () => {
      const service = await startReady();
      try {
        const { items } = await runtimesOf(service);
        expect(items.filter(({ installs }) => installs !== null)).toEqual([]);
        const spec = { entry: "main.py", install: true };
        expect(await refusal(service.url, { spec, code: python })).toContain("NET_POLICIES");
      } finally {
        await stopAndRemove(service);
      }
    },
    SLOW_MS,
  );
});
