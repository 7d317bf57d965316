import { expect } from "bun:test";

import { runPython, snapshot, submit, waitForEnd } from "../support/client.ts";
import { fieldPart, filePart, MULTIPART, multipartBody } from "../support/multipart.ts";
import type { Theme, World } from "./hostile-program.ts";

interface Refusal {
  readonly status: number;
  readonly pointers: readonly string[];
}

async function post(url: string, body: string): Promise<Refusal> {
  const answer = await fetch(`${url}/jobs`, {
    method: "POST",
    headers: { "Content-Type": MULTIPART },
    body,
  });
  const problem = (await answer.json()) as { errors?: readonly { pointer: string }[] };
  return {
    status: answer.status,
    pointers: (problem.errors ?? []).map(({ pointer }) => pointer),
  };
}

/** Each of these specs is a 422 that names the field. `spec` may be text, for what JSON.stringify cannot say. */
async function specsRefused(
  { url }: World,
  specs: readonly (readonly [pointer: string, spec: object | string])[],
): Promise<void> {
  for (const [pointer, spec] of specs) {
    const text = typeof spec === "string" ? spec : JSON.stringify({ entry: "main.py", ...spec });
    const body = multipartBody(fieldPart("spec", text), filePart("code_files", "main.py"));
    const refusal = await post(url, body);
    expect({ ...refusal, spec: text.slice(0, 200) }).toMatchObject({ status: 422 });
    expect(refusal.pointers).toContain(pointer);
  }
}

const NOT_A_PATH = "A 422 names the field; nothing is stored.";

export const uploads: Theme = {
  title: "Uploads and specs",
  entries: [
    {
      name: "an entry outside of the upload",
      tries: "Names an entry by .., by an absolute path, by a NUL, or one that was not sent.",
      safeOutcome: NOT_A_PATH,
      attempt: (world) =>
        specsRefused(
          world,
          ["../main.py", "a/../../main.py", "/etc/passwd", "main.py\0.txt", "..", "other.py"].map(
            (entry) => ["/spec/entry", { entry }] as const,
          ),
        ),
    },
    {
      name: "uploads outside of the working directory",
      tries: "Sends files named by .., by absolute paths, and one name twice.",
      safeOutcome: NOT_A_PATH,
      async attempt({ url }) {
        for (const name of ["../x", "a/../../x", "/etc/cron.d/x", "..", "main.py", "main.py/x"]) {
          const spec = fieldPart("spec", '{"entry":"main.py"}');
          const main = filePart("code_files", "main.py");
          const body = multipartBody(spec, main, filePart("code_files", name));
          expect(await post(url, body)).toEqual({ status: 422, pointers: ["/code_files"] });
        }
      },
    },
    {
      name: "odd but lawful file names",
      tries: "Sends files whose names hold quotes, newlines, bidi marks, escapes and dashes.",
      safeOutcome: "A name is data: the program finds each file under just that name.",
      async attempt({ url }) {
        const names = ["..%2fx", "a\\..\\b", "-rf", "\u202etxt.exe", "a'b;c$(id)", "a b", "..."];
        const code = Object.fromEntries(names.map((name) => [name, "x"]));
        const source = "import json, os\nprint(json.dumps(sorted(os.listdir('.'))))\n";
        const { id } = await submit(url, {
          spec: { entry: "main.py" },
          code: { ...code, "main.py": source },
        });
        expect((await waitForEnd(url, id)).status).toBe("succeeded");
        expect(JSON.parse((await snapshot(url, id)).toString())).toEqual(
          [...names, "main.py"].sort(),
        );
      },
    },
    {
      name: "arguments that look like options",
      tries: "Passes options of the interpreter, of bubblewrap and of the supervisor as arguments.",
      safeOutcome: "The program gets them as they are, and nobody else does.",
      async attempt({ url }) {
        const args = ["-c", "--", "--help", "--bind", "/", "-", "", "$(id)", "a\nb", "--args", "3"];
        const { job, log } = await runPython(
          url,
          "import json, sys\nprint(json.dumps(sys.argv[1:]))",
          { args },
        );
        expect(job.status).toBe("succeeded");
        expect(JSON.parse(log)).toEqual(args);
      },
    },
    {
      name: "an entry that looks like an option",
      tries:
        "Names the program -c, --version or inspect, to be taken for an option by its runtime.",
      safeOutcome: "It is run as a file.",
      async attempt({ url }) {
        for (const [entry, runtime] of [
          ["-c.py", "python3"],
          ["--version", "bash"],
          ["inspect", "node"],
          ["-e.js", "node"],
        ] as const) {
          const source = entry === "-c.py" ? "print('ran')" : "console.log('ran')";
          const { id } = await submit(url, {
            spec: { entry, runtime },
            code: { [entry]: runtime === "bash" ? "echo ran" : source },
          });
          expect((await waitForEnd(url, id)).status).toBe("succeeded");
          expect((await snapshot(url, id)).toString()).toBe("ran\n");
        }
      },
    },
    {
      name: "NUL in arguments and environment",
      tries: "Hides an option of bubblewrap behind a NUL in an argument, a variable or a label.",
      safeOutcome: "A 422: no value with a NUL gets further.",
      attempt: (world) =>
        specsRefused(world, [
          ["/spec/args/0", { args: ["a\0--bind\0/\0/host"] }],
          ["/spec/env/A", { env: { A: "b\0--bind\0/\0/host" } }],
          ["/spec/env/A\0B", { env: { "A\0B": "c" } }],
          ["/spec/labels/a", { labels: { a: "\0" } }],
        ]),
    },
    {
      name: "variables that load code: LD_PRELOAD",
      tries: "Has the linker load a library of its own into whatever is started for the job.",
      safeOutcome: "The variable is the program's alone: the supervisor never sees it.",
      async attempt({ url }) {
        const source = "import os\nprint(os.environ['LD_PRELOAD'])";
        const { job, log } = await runPython(url, source, {
          env: { LD_PRELOAD: "/work/evil.so", LD_LIBRARY_PATH: "/work", LD_AUDIT: "/work/evil.so" },
        });
        expect(job).toMatchObject({ status: "succeeded", error: null });
        expect(log).toEndWith("/work/evil.so\n");
        // The linker complains once for each program that it starts with the variable.
        expect(log.match(/from LD_PRELOAD cannot be preloaded/g)).toHaveLength(1);
      },
    },
    {
      name: "variables that load code: interpreters",
      tries: "Has perl, Python and bash load files of its own before they begin.",
      safeOutcome: "They are loaded into the job's own program, inside, and nowhere else.",
      async attempt({ url }) {
        const env = {
          PERL5OPT: "-Mevil",
          PERL5LIB: "/work",
          PYTHONPATH: "/work",
          BASH_ENV: "/work/evil.sh",
          ENV: "/work/evil.sh",
        };
        const { id } = await submit(url, {
          spec: { entry: "main.sh", env },
          code: {
            "main.sh": "/usr/bin/python3 -c pass; perl -e 1; ls pid-*",
            "evil.pm": "open my $f, '>', \"/work/pid-perl-$$\"; 1;",
            "sitecustomize.py": "import os; open(f'/work/pid-python-{os.getpid()}', 'w')",
            "evil.sh": ": > /work/pid-bash-$$",
          },
        });
        expect(await waitForEnd(url, id)).toMatchObject({ status: "succeeded", error: null });
        const loaded = (await snapshot(url, id)).toString().trimEnd().split("\n");
        expect(loaded.map((each) => each.replace(/\d+$/, "")).sort()).toEqual(
          ["bash", "perl", "python"].map((each) => `pid-${each}-`),
        );
        for (const each of loaded) expect(each).not.toEndWith("-1");
        // What the service starts for the next job is as it always was.
        expect((await runPython(url, "print('next')")).log).toBe("next\n");
      },
    },
    {
      name: "the service's own variables, forged",
      tries: "Sets JOB_ID, PATH and HOME for the program.",
      safeOutcome: "JOB_ID stays the job's; the others are the program's own business.",
      async attempt({ url }) {
        const source =
          "import os\nprint(os.environ['JOB_ID'], os.environ['JOB_ATTEMPT'], os.environ['PATH'])";
        const env = { JOB_ID: "../../other", JOB_ATTEMPT: "9", PATH: "/work" };
        const { job, log } = await runPython(url, source, { env });
        expect(log).toBe(`${job.id} 1 /work\n`);
      },
    },
    {
      name: "odd names of variables",
      tries: "Names variables by =, by nothing, by digits, by functions and by `__proto__`.",
      safeOutcome: "A 422, or (for `__proto__`) a variable like others.",
      async attempt(world) {
        await specsRefused(
          world,
          ["A=B", "", "1A", "a b", "BASH_FUNC_ls%%", "é", "A-B"].map(
            (name) => [`/spec/env/${name}`, { env: { [name]: "() { :; }; id" } }] as const,
          ),
        );
        const env = JSON.parse('{"__proto__":"x","constructor":"y"}') as object;
        const { log } = await runPython(
          world.url,
          "import os\nprint(os.environ.get('__proto__'), os.environ['constructor'])",
          { env },
        );
        expect(["x y\n", "None y\n"]).toContain(log);
      },
    },
    {
      name: "absurd limits",
      tries: "Asks for endless time, memory, processes, disk and output; for none, and for less.",
      safeOutcome: "A 422 for each: limits are checked, never clamped in silence.",
      attempt: (world) =>
        specsRefused(world, [
          ...["memory_mb", "cpu_sec", "processes", "disk_mb", "output_mb"].flatMap((name) =>
            [0, -1, 1e9, 2 ** 53, 1.5, "64"].map(
              (value) => [`/spec/limits/${name}`, { limits: { [name]: value } }] as const,
            ),
          ),
          ["/spec/timeout_sec", { timeout_sec: 1e9 }],
          ["/spec/timeout_sec", { timeout_sec: -1 }],
          ["/spec/timeout_sec", '{"entry":"main.py","timeout_sec":1e999}'],
        ]),
    },
    {
      name: "a runtime by path",
      tries: "Names a program of the host, or of its own upload, as the runtime.",
      safeOutcome: "A 422: runtimes are those that the server lists.",
      attempt: (world) =>
        specsRefused(
          world,
          ["/bin/sh", "../../bin/sh", "./main.py", "python3; id", "__proto__", "constructor"].map(
            (runtime) => ["/spec/runtime", { runtime }] as const,
          ),
        ),
    },
    {
      name: "modules that shadow the supervisor's",
      tries: "Uploads files named like modules and files that the service itself uses.",
      safeOutcome: "The service loads nothing from a job's directory.",
      async attempt({ url }) {
        const evil = "raise SystemExit('loaded')\n";
        const { id } = await submit(url, {
          spec: { entry: "main.sh" },
          code: {
            "main.sh": "echo fine",
            "strict.pm": 'open my $f, ">", "/work/owned"; 1;',
            "supervisor.pl": "die",
            "sitecustomize.py": evil,
            "usercustomize.py": evil,
            "os.py": evil,
            ".bashrc": "echo owned",
            ".profile": "echo owned",
            "bunfig.toml": 'preload = ["/work/x"]',
          },
        });
        expect(await waitForEnd(url, id)).toMatchObject({ status: "succeeded", artifacts: [] });
        expect((await snapshot(url, id)).toString()).toBe("fine\n");
      },
    },
    {
      name: "stdin as a weapon",
      tries: "Sends NULs, records of the supervisor and a script as standard input.",
      safeOutcome: "It is the program's input, byte for byte, and nothing else.",
      async attempt({ url }) {
        const stdin = "\0G\0\0\0\0E\0\0\0\u0010$(id)\n#!/bin/sh\nO nproc=99999\n";
        const source = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())";
        const { job, log } = await runPython(url, source, { stdin });
        expect(job.status).toBe("succeeded");
        expect(log).toBe(stdin);
      },
    },
  ],
};
