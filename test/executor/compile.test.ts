import { describe, expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import { folderBeside } from "../../src/runtimes/build-guest.ts";
import type { CompileBase } from "../../src/runtimes/runtime.ts";
import { untilNoProcessWith } from "../support/guests.ts";
import { MAKE, unique, useScriptedLanguage } from "../support/scripted-language.ts";

const { requests, compilerWith, run, finished } = useScriptedLanguage();

describe("a compile step", () => {
  test("what it makes is run, can be executed, and is no artifact", async () => {
    const { outcome, stdout, stderr, compiler } = await finished(
      `${MAKE}echo data > "$1/data"; echo lost > elsewhere`,
      {
        program: 'echo "$@"; cat .compiled/data; ls; ls -A .compiled; echo made > out.txt',
        spec: { args: ["a b"] },
      },
    );
    expect({ stdout, stderr, compiler }).toEqual({
      stdout: "a b\ndata\ncompile.sh\nmain.sh\ndata\nprogram\n",
      stderr: "",
      compiler: "",
    });
    expect(outcome).toMatchObject({ status: "succeeded", error: null });
    expect(outcome?.artifacts.map(({ path }) => path)).toEqual(["out.txt"]);
  });

  test("is given the code files and its own, and nothing else of the job", async () => {
    const { compiler } = await finished(
      `${MAKE}find . -type f | sort; env | cut -d= -f1 | sort | tr '\\n' ' '; cat; cat "$1/helper"`,
      {
        code: { "lib/code": "x" },
        inputs: { "input.txt": "x" },
        spec: { env: { SECRET: "1" }, args: ["x"], stdin: "typed" },
      },
    );
    expect(compiler).toBe(
      "./.compiled/helper\n./.compiled/program\n./compile.sh\n./lib/code\n./main.sh\n" +
        "COMPILER HOME LANG PATH PWD TMPDIR helping",
    );
  });

  test("has what its compiler needs where the job asks for less, and the job has what it asks for", async () => {
    requests.length = 0;
    const limits = {
      memoryBytes: 32 * MIB,
      cpuSec: 5,
      processes: 4,
      diskBytes: 16 * MIB,
      outputBytes: MIB,
    };
    await finished(unique() + MAKE, { spec: { limits } });
    const [compile, program] = requests.map((request) => request.limits);
    expect(compile).toEqual({
      ...limits,
      memoryBytes: 64 * MIB,
      cpuSec: 20,
      processes: 16,
    });
    expect(program).toEqual(limits);
  });

  test("what it prints is marked as its own, whichever of its streams it prints to", async () => {
    const { stdout, stderr, compiler } = await finished(
      `${unique()}echo out; echo err >&2; ${MAKE}`,
    );
    expect([stdout, stderr]).toEqual(["ran\n", ""]);
    expect(compiler.split("\n").toSorted()).toEqual(["", "err", "out"]);
  });

  test("is no part of the time that the job has", async () => {
    const { outcome, stdout } = await finished(`${unique()}sleep 1.5; ${MAKE}`, {
      spec: { timeoutMs: 1_200 },
    });
    expect(outcome).toMatchObject({ status: "succeeded", reason: null });
    expect(outcome!.usage!.wallMs).toBeLessThan(1_200);
    expect(stdout).toBe("ran\n");
  });

  test("leaves a folder of that name to the job", async () => {
    expect(folderBeside(["a", ".compiled/x", ".compiled-2"])).toBe(".compiled-3");
    const { stdout, outcome } = await finished(MAKE, {
      code: { ".compiled/program": "mine\n" },
      program: "cat .compiled/program; ls .compiled-2",
    });
    expect(stdout).toBe("mine\nprogram\n");
    expect(outcome?.artifacts).toEqual([]);
  });
});

describe("a compile that fails", () => {
  test("ends the job with the compiler's exit code, and the program is not started", async () => {
    const { outcome, log, starts } = await run(`${MAKE}echo wrong >&2; exit 3`);
    expect(await outcome).toMatchObject({
      status: "failed",
      reason: "compile_error",
      exitCode: 3,
      usage: null,
      compileUsage: { cpuMs: expect.any(Number), wallMs: expect.any(Number) },
      artifacts: [],
      error: "The compiler refused the program; the log says why.",
    });
    expect(log.text).toEqual({ stdout: "", stderr: "", compiler: "wrong\n", installer: "" });
    expect(starts()).toBe(0);
  });

  test("for want of time says so", async () => {
    const compiler = compilerWith({ timeoutSec: 1 });
    const { outcome } = await finished("sleep 1000", { compiler });
    expect(outcome).toMatchObject({ status: "failed", reason: "compile_error" });
    expect(outcome?.error).toContain("within 1 seconds");
  });

  test("for want of disk says so, whatever its exit code", async () => {
    const { outcome } = await finished("head -c 100000000 /dev/zero > big || exit 9");
    expect(outcome).toMatchObject({ status: "failed", reason: "compile_error" });
    expect(outcome?.error).toContain("16 MiB (limits.disk_mb)");
  });

  test("or makes nothing: files elsewhere and links are nothing", async () => {
    for (const script of [
      "echo x > elsewhere",
      'ln -s /bin/true "$1/program"',
      "rm -r .compiled; ln -s /etc .compiled",
    ]) {
      const { outcome } = await finished(script);
      expect(outcome).toMatchObject({ status: "failed", reason: "compile_error", exitCode: 0 });
      expect(outcome?.error).toContain("made nothing");
    }
  });

  test("or makes more than can be kept", async () => {
    const { outcome } = await finished(
      `${MAKE}cd "$1"; i=0; while [ $i -lt 120 ]; do mkdir d; cd d; i=$((i+1)); done; : > file`,
    );
    expect(outcome).toMatchObject({ status: "failed", reason: "compile_error" });
    expect(outcome?.error).toContain("made more than can be kept: 1 of the files");
  });
});

describe("the end of a job in the middle of it", () => {
  test("cancelled: the compiler is killed, and the job ends as cancelled", async () => {
    const marker = crypto.randomUUID();
    const { outcome, log, cancelled, starts } = await run(
      `echo up; sh -c ': ${marker}; sleep 900'`,
    );
    await log.until("up");
    cancelled.abort();
    expect(await outcome).toMatchObject({ status: "cancelled", reason: "cancelled", usage: null });
    expect(starts()).toBe(0);
    await untilNoProcessWith(marker);
  });

  test("abandoned: it has no result, and nothing of it is left", async () => {
    const marker = crypto.randomUUID();
    const { outcome, log, abandoned } = await run(`echo up; sh -c ': ${marker}; sleep 900'`);
    await log.until("up");
    abandoned.abort();
    expect(await outcome).toBeNull();
    await untilNoProcessWith(marker);
  });

  test("not begun where the job turns out not to be this worker's", async () => {
    const marker = crypto.randomUUID();
    const claimed = Promise.reject(new Error("not claimed"));
    claimed.catch(() => undefined);
    const { outcome, log } = await run(`echo up ${marker}`, { claimed });
    await expect(outcome).rejects.toThrow("not claimed");
    expect(log.text.compiler).toBe("");
  });

  test("cancelled when it has just ended: the program is not started", async () => {
    const { outcome, cancelled, starts } = await run(unique() + MAKE, {
      compiler: {
        async compile(job, step) {
          const compiled = await compilerWith().compile(job, step);
          cancelled.abort();
          return compiled;
        },
      },
    });
    expect(await outcome).toMatchObject({ status: "cancelled", reason: "cancelled" });
    expect(starts()).toBe(0);
  });
});

describe("compiled once", () => {
  test("a job with the same code finds what was made; input files, arguments and environment may differ", async () => {
    const script = `${unique()}echo compiling; ${MAKE}`;
    const program = 'cat input.txt; echo "$1 $WORD"';
    const job = (word: string) =>
      finished(script, {
        program,
        inputs: { "input.txt": `${word}\n`, [`${word}.txt`]: "" },
        spec: { args: [word], env: { WORD: word }, stdin: word },
      });
    expect(await job("one")).toMatchObject({ stdout: "one\none one\n", compiler: "compiling\n" });
    requests.length = 0;
    expect(await job("two")).toMatchObject({ stdout: "two\ntwo two\n", compiler: "" });
    expect(requests).toHaveLength(1);
  });

  test("another caller's job with the same code is compiled", async () => {
    const script = `${unique()}echo compiling; ${MAKE}`;
    const compilerOf = async (keyId: string) => (await finished(script, { keyId })).compiler;
    const said = [await compilerOf("a"), await compilerOf("b"), await compilerOf("a")];
    expect(said).toEqual(["compiling\n", "compiling\n", ""]);
  });

  test("other code is compiled, and so is what failed before", async () => {
    const script = `${unique()}echo compiling; ${MAKE}`;
    await finished(script);
    expect((await finished(script, { program: "echo other" })).compiler).toBe("compiling\n");
    for (let time = 0; time < 2; time++)
      expect((await finished(`${script}exit 1`)).compiler).toBe("compiling\n");
  });
});

describe("what every compile begins with", () => {
  const base = (script: string): CompileBase => ({
    argv: ["/bin/sh", "-c", `${script}; :`],
    folder: ".base/of",
  });

  test("is made once, of nothing that is a job's, and is there for each compile", async () => {
    const made = base(`${unique().trim()}; echo unheard; ls -A > .base/of/files`);
    const script = `cat .base/of/files; ${MAKE}`;
    const first = await finished(unique() + script, { base: made });
    expect(first).toMatchObject({ compiler: ".base\n", stdout: "ran\n" });
    requests.length = 0;
    const second = await finished(unique() + script, { base: made });
    expect(second).toMatchObject({ compiler: ".base\n", stdout: "ran\n" });
    expect(requests).toHaveLength(2);
  });

  test("is done without where it cannot be made, and is not tried again", async () => {
    const compiler = compilerWith();
    const options = { base: { argv: ["/bin/false"], folder: ".base" }, compiler };
    requests.length = 0;
    for (const count of [3, 5]) {
      const { stdout } = await finished(unique() + MAKE, options);
      expect([stdout, requests.length]).toEqual(["ran\n", count]);
    }
  });

  test("that takes more room than there is for later jobs is not made for each of them", async () => {
    const compiler = compilerWith({ cacheBytes: 4_096 });
    const options = { base: base("head -c 8192 /dev/urandom > .base/of/big"), compiler };
    requests.length = 0;
    for (const count of [3, 5]) {
      const { stdout } = await finished(unique() + MAKE, options);
      expect([stdout, requests.length]).toEqual(["ran\n", count]);
    }
  });

  test("is done without by a job with files of its own in that place", async () => {
    const made = base("echo base > .base/of/word");
    const script = `${unique()}cat .base/of/word; ${MAKE}`;
    const own = await finished(script, { base: made, code: { ".base/of/word": "own\n" } });
    expect(own).toMatchObject({ compiler: "own\n", stdout: "ran\n" });
  });
});
