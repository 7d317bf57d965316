import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";

import { MIB } from "../../src/jobs/limits.ts";
import { untilNoProcessWith } from "../support/guests.ts";
import { MAKE, unique, useScriptedLanguage } from "../support/scripted-language.ts";
import type { PrepareOptions } from "../support/workshop.ts";

const language = useScriptedLanguage();
const { requests, installerWith } = language;

type Options = Parameters<typeof language.run>[1];

/** A job whose installer is `script`. */
function withInstall(script: string, options: Options = {}): Options & PrepareOptions {
  const { code = {}, spec = {} } = options;
  return {
    ...options,
    code: { "install.sh": script, ...code },
    spec: { install: true, netPolicy: "full", ...spec },
  };
}
const run = (script: string, options?: Options) => language.run(MAKE, withInstall(script, options));
const finished = (script: string, options?: Options) =>
  language.finished(MAKE, withInstall(script, options));

/** Installs a program. */
const INSTALL = "printf '#!/bin/sh\\necho tool\\n' > packages/tool\n";

describe("an install step", () => {
  test("what it leaves in its folder is the program's, can be executed, and is no artifact, changed or not", async () => {
    const { outcome, stdout, installer } = await finished(
      `${INSTALL}mkdir packages/a; echo lib > packages/a/lib; echo lost > elsewhere`,
      {
        program:
          'packages/tool; cat packages/a/lib; echo "$PACKAGES"; ls; echo x >> packages/a/lib; echo x > packages/new; echo x > out',
        spec: { env: { PACKAGES: "mine" } },
      },
    );
    expect({ stdout, installer }).toEqual({
      stdout: "tool\nlib\npackages:mine\ncompile.sh\ninstall.sh\nmain.sh\npackages\n",
      installer: "",
    });
    expect(outcome).toMatchObject({ status: "succeeded", warnings: [], error: null });
    expect(outcome?.artifacts.map(({ path }) => path)).toEqual(["out"]);
  });

  test("is given the manifests among the code files, and nothing else of the job", async () => {
    const { installer } = await finished(
      `${INSTALL}echo "$@"; find . -type f | sort; env | cut -d= -f1 | grep -vi proxy | sort | tr '\\n' ' '; cat`,
      {
        code: { lock: "x", "lib/lock": "x", "other.txt": "x" },
        inputs: { "input.txt": "x" },
        spec: { env: { SECRET: "1" }, args: ["x"], stdin: "typed" },
      },
    );
    expect(installer).toBe(
      "install.sh lock\n./install.sh\n./lock\n./packages/tool\nHOME INSTALLER LANG PATH PWD TMPDIR ",
    );
  });

  test("an input file is no manifest", async () => {
    const { installer } = await finished('echo "got $@"', { inputs: { lock: "x" } });
    expect(installer).toBe("got install.sh\n");
  });

  test("has the network of its job while it lasts, and what it needs where the job asks for less", async () => {
    requests.length = 0;
    const limits = {
      memoryBytes: 32 * MIB,
      cpuSec: 5,
      processes: 4,
      diskBytes: 4 * MIB,
      outputBytes: MIB,
    };
    await finished(unique() + INSTALL, { spec: { limits } });
    const [install, compile, program] = requests;
    expect(install?.limits).toEqual({
      ...limits,
      memoryBytes: 64 * MIB,
      cpuSec: 20,
      processes: 16,
      diskBytes: 8 * MIB,
    });
    expect(compile?.proxySocket).toBeUndefined();
    expect(program?.limits).toEqual(limits);
    const sockets = [install, program].map((request) => request?.proxySocket ?? "");
    expect(new Set(sockets).size).toBe(2);
    expect(sockets.map((path) => [path !== "", existsSync(path)])).toEqual([
      [true, false],
      [true, false],
    ]);
  });

  test("comes before the compile, which has nothing of it, and what both print is told apart", async () => {
    const { outcome, stdout, compiler, installer } = await language.finished(
      `${unique()}echo compiling; ls -A packages; ${MAKE}`,
      withInstall(`${INSTALL}echo installing >&2`),
    );
    expect(outcome?.status).toBe("succeeded");
    expect([installer, stdout]).toEqual(["installing\n", "ran\n"]);
    expect(compiler).toStartWith("compiling\n");
    expect(compiler).toContain("packages");
    expect(compiler).not.toContain("tool");
  });

  test("is no part of the time that the job has", async () => {
    const { outcome } = await finished(`${unique()}sleep 1.5; ${INSTALL}`, {
      spec: { timeoutMs: 1_200 },
    });
    expect(outcome).toMatchObject({ status: "succeeded", reason: null });
    expect(outcome!.usage!.wallMs).toBeLessThan(1_200);
  });

  test("may have nothing to install", async () => {
    const { outcome, stdout } = await finished("echo x > elsewhere");
    expect(outcome?.status).toBe("succeeded");
    expect(stdout).toBe("ran\n");
  });
});

describe("an install that fails", () => {
  test("ends the job with the installer's exit code, and the program is not started", async () => {
    const { outcome, log, starts } = await run(`${INSTALL}echo wrong >&2; exit 3`);
    expect(await outcome).toMatchObject({
      status: "failed",
      reason: "install_error",
      exitCode: 3,
      usage: null,
      artifacts: [],
      error: "The installer did not install the dependencies; the log says why.",
    });
    expect(log.text).toEqual({ stdout: "", stderr: "", compiler: "", installer: "wrong\n" });
    expect(starts()).toBe(0);
  });

  test.each([
    ["time", "sleep 1000", "within 1 seconds (this server's INSTALL_TIMEOUT_SEC)"],
    ["disk", "head -c 100000000 /dev/zero > packages/big || exit 9", "16 MiB (limits.disk_mb)"],
    [
      "room for what it leaves",
      "cd packages; i=0; while [ $i -lt 120 ]; do mkdir d; cd d; i=$((i+1)); done; : > file",
      "made more than can be kept: 1 of the files",
    ],
  ])("for want of %s says so", async (_what, script, words) => {
    const { outcome } = await finished(script, { installer: installerWith({ timeoutSec: 1 }) });
    expect(outcome).toMatchObject({ status: "failed", reason: "install_error" });
    expect(outcome?.error).toContain(words);
  });

  test("since the job has too little disk for it says so, each time", async () => {
    const script = `${unique()}head -c 5000000 /dev/zero > packages/big`;
    const limits = {
      memoryBytes: 64 * MIB,
      cpuSec: 5,
      processes: 16,
      diskBytes: 4 * MIB,
      outputBytes: MIB,
    };
    for (let time = 0; time < 2; time++) {
      const { outcome } = await finished(script, { spec: { limits } });
      expect(outcome).toMatchObject({ status: "failed", reason: "install_error" });
      expect(outcome?.error).toContain("takes 5 MiB of disk");
    }
    expect((await finished(script)).outcome?.status).toBe("succeeded");
  });

  test("since the job has files of its own in its place says so", async () => {
    const { outcome } = await finished(INSTALL, { code: { "packages/mine": "x" } });
    expect(outcome).toMatchObject({ status: "failed", reason: "install_error" });
    expect(outcome?.error).toContain('"packages/mine"');
  });

  test("a link in the place of its folder brings nothing of the machine", async () => {
    const { outcome, stdout } = await finished("rm -r packages; ln -s /etc packages", {
      program: "ls -A packages 2>&1 | wc -l; [ -e packages ] || echo none",
    });
    expect(outcome?.status).toBe("succeeded");
    expect(stdout).toBe("1\nnone\n");
  });
});

describe("the end of a job in the middle of it", () => {
  test.each(["cancelled", "abandoned"] as const)("%s: the installer is killed", async (how) => {
    const marker = crypto.randomUUID();
    const started = await run(`echo up; sh -c ': ${marker}; sleep 900'`);
    await started.log.until("up");
    started[how].abort();
    const outcome = await started.outcome;
    if (how === "abandoned") expect(outcome).toBeNull();
    else expect(outcome).toMatchObject({ status: "cancelled", reason: "cancelled", usage: null });
    expect(started.starts()).toBe(0);
    await untilNoProcessWith(marker);
  });
});

describe("installed once", () => {
  test("a job with the same manifests finds what was installed, whatever else it has, and its own copy of it", async () => {
    const script = `${unique()}echo installing; echo 0 > packages/count`;
    const job = (word: string) =>
      finished(script, {
        program: `cat packages/count; echo ${word} >> packages/count; cat packages/count`,
        inputs: { [word]: word },
        spec: { args: [word], env: { WORD: word }, stdin: word },
      });
    expect(await job("one")).toMatchObject({ stdout: "0\n0\none\n", installer: "installing\n" });
    expect(await job("two")).toMatchObject({ stdout: "0\n0\ntwo\n", installer: "" });
  });

  test("another manifest, another way out, or one that failed: it is installed again", async () => {
    const script = `${unique()}echo installing; ${INSTALL}`;
    await finished(script);
    const others: readonly [string, Options][] = [
      [script, { code: { lock: "x" } }],
      [script, { spec: { netPolicy: { allow: ["example.com"] } } }],
      [`${script}exit 1`, {}],
      [`${script}exit 1`, {}],
    ];
    for (const [other, options] of others)
      expect((await finished(other, options)).installer).toBe("installing\n");
    expect((await finished(script)).installer).toBe("");
  });
});
