import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  getJob,
  type JobJson,
  runPython,
  snapshot,
  submit,
  waitForEnd,
} from "../support/client.ts";
import { curl } from "../support/curl.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

/* What is uploaded is what the job gets: the spec unmangled, the files under their names. */

const SPEC = '{"entry":"main.py"}';
const PRINT_OK = "print('ok')\n";

let folder: string;
let service: RunningService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "upload-test-"));
  await writeFile(join(folder, "main.py"), PRINT_OK);
  service = await startService();
}, 30_000);

afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
  await rm(folder, { recursive: true, force: true });
});

describe("a spec", () => {
  const values = { A: '{"a":1}', B: "[1,2,3]", C: "123", D: "true", E: "null", F: '"x"', G: "1e3" };

  test("keeps texts that look like JSON as texts", async () => {
    const source =
      "import json, os, sys\nprint(json.dumps([dict(os.environ), sys.argv[1:], sys.stdin.read()]))";
    const { job, log } = await runPython(service.url, source, {
      env: { ...values, __proto__x: "p", constructor: "c", toString: "t" },
      args: Object.values(values),
      stdin: '{"entry":"other.py"}',
      labels: { a: "[1]" },
    });
    expect(job.status).toBe("succeeded");
    const [env, args, stdin] = JSON.parse(log) as [Record<string, string>, string[], string];
    expect(env).toMatchObject({ ...values, __proto__x: "p", constructor: "c", toString: "t" });
    expect(args).toEqual(Object.values(values));
    expect(stdin).toBe('{"entry":"other.py"}');
    expect(await getJob(service.url, job.id)).toMatchObject({ spec: { labels: { a: "[1]" } } });
  });

  test("may set a variable called __proto__", async () => {
    const form = new FormData();
    form.append("spec", '{"entry":"main.py","env":{"__proto__":"here"}}');
    form.append("code_files", new Blob(["import os\nprint(os.environ['__proto__'])"]), "main.py");
    const response = await fetch(`${service.url}/jobs`, { method: "POST", body: form });
    const { id } = (await response.json()) as JobJson;
    await waitForEnd(service.url, id);
    expect((await snapshot(service.url, id)).toString()).toBe("here\n");
  });

  for (const [how, field] of [
    ["a text field", `spec=${SPEC}`],
    ["a field of type application/json", `spec=${SPEC};type=application/json`],
    ["a file", "spec=@spec.json"],
    ["a file of type application/json", "spec=@spec.json;type=application/json"],
    ["a file with a byte order mark", "spec=@bom.json"],
    ["a field read from a file", "spec=<spec.json"],
  ] as const)
    test(`may be ${how}`, async () => {
      await writeFile(join(folder, "spec.json"), `${SPEC}\n`);
      await writeFile(join(folder, "bom.json"), `\ufeff${SPEC}`);
      // Relative names, as a user types them.
      const inFolder = field.replace(/([@<])/, `$1${folder}/`);
      const answer = await curl([
        "-F",
        inFolder,
        "-F",
        `code_files=@${join(folder, "main.py")}`,
        `${service.url}/jobs`,
      ]);
      expect(answer.status).toBe(202);
      expect(JSON.parse(answer.body)).toMatchObject({ spec: { entry: "main.py" } });
    });

  test("may come after the files", async () => {
    const form = new FormData();
    form.append("code_files", new Blob([PRINT_OK]), "main.py");
    form.append("spec", SPEC);
    expect((await fetch(`${service.url}/jobs`, { method: "POST", body: form })).status).toBe(202);
  });
});

describe("files", () => {
  const LIST =
    "import os\nfor d, _, fs in os.walk('.'):\n  for f in fs: print(os.path.join(d, f))\n";

  test("keep their names in every script, their folders, and their order", async () => {
    const names = [
      "z.txt",
      "ä/ö ü.txt",
      "日本語.txt",
      "🙂/🙃.bin",
      "a;b=c.txt",
      "it's.txt",
      "-rf",
      "a",
    ];
    const inputs = Object.fromEntries(names.map((name, n) => [name, `content ${n}`]));
    const { id } = await submit(service.url, {
      spec: { entry: "list.py" },
      code: { "list.py": LIST },
      inputs,
    });
    const job = await waitForEnd(service.url, id);
    expect(job.status).toBe("succeeded");
    const printed = (await snapshot(service.url, id)).toString().trimEnd().split("\n");
    expect(printed.sort()).toEqual([...names, "list.py"].map((name) => `./${name}`).sort());
    const { files } = (await getJob(service.url, id)) as JobJson & { files: { name: string }[] };
    expect(files.map(({ name }) => name)).toEqual(["list.py", ...names]);
  });

  test("keep a name that curl quotes", async () => {
    const answer = await curl([
      // Else curl writes quotes as %22, like browsers do.
      "--form-escape",
      "-F",
      `spec=${SPEC}`,
      "-F",
      `code_files=@${join(folder, "main.py")}`,
      "-F",
      `input_files=@${join(folder, "main.py")};filename="ü/a \\"b\\".txt"`,
      `${service.url}/jobs`,
    ]);
    expect(answer.status).toBe(202);
    const { files } = JSON.parse(answer.body) as { files: { name: string }[] };
    expect(files.map(({ name }) => name)).toEqual(["main.py", 'ü/a "b".txt']);
  });

  test("may be many, and empty", async () => {
    const inputs = Object.fromEntries(
      Array.from({ length: 900 }, (_, n) => [`in/${n % 7}/${n}`, ""]),
    );
    const code = {
      "main.py": "import os\nprint(sum(len(f) for _, _, f in os.walk('in')))\n",
      "empty.py": "",
    };
    const { id } = await submit(service.url, { spec: { entry: "main.py" }, code, inputs });
    expect((await waitForEnd(service.url, id)).status).toBe("succeeded");
    expect((await snapshot(service.url, id)).toString()).toBe("900\n");
  }, 30_000);
});
