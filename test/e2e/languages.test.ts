import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { submit, waitForEnd } from "../support/client.ts";
import { type LanguageProgram, PROGRAMS } from "../support/languages.ts";
import {
  cancel,
  cProgram,
  HELLO_C,
  runJob,
  runtimesOf,
  startReady,
  stopAndRemove,
  untilPrinted,
} from "../support/ready-service.ts";
import { unlessAbsent } from "../support/runtimes.ts";
import type { RunningService } from "../support/service.ts";

/* Languages through the API: those with a compile step of its own above all. */

/** For a language that is slow to start, or to compile for the first time, on a busy machine. */
const SLOW_MS = 120_000;

let service: RunningService;
beforeAll(async () => {
  service = await startReady();
}, 60_000);
afterAll(() => stopAndRemove(service));

/** The body of a test of a language, where that is installed. */
const where = (language: string, body: () => Promise<void>) => async () =>
  unlessAbsent(language, (await runtimesOf(service)).absent, body);

test("a language is listed as present or with how to get it, and says whether it compiles", async () => {
  const { items, absent } = await runtimesOf(service);
  const names = items.map(({ name }) => name);
  for (const { language, broken } of PROGRAMS) {
    const hint = absent.find(({ name }) => name === language)?.hint;
    expect([language, names.includes(language)]).toEqual([language, hint === undefined]);
    const compiled = items.find(({ name }) => name === language)?.compiles;
    if (hint === undefined) expect([language, compiled]).toEqual([language, broken !== undefined]);
    else expect(hint).not.toBe("");
  }
});

describe.each(PROGRAMS)("$language", ({ language, entry, source, broken }: LanguageProgram) => {
  test(
    "a program gets its arguments and its input, and leaves nothing but what it made",
    where(language, async () => {
      const { job, stdout, stderr, compiler } = await runJob(service, {
        spec: { entry, args: ["a b", "-x", "zwölf"], stdin: "typed\n" },
        code: { [entry]: source },
        inputs: { "data.txt": "data" },
      });
      expect({ stdout, stderr, compiler }).toEqual({
        stdout: "hello\n[a b]\n[-x]\n[zwölf]\ntyped\n",
        stderr: "",
        compiler: "",
      });
      expect(job).toMatchObject({ status: "succeeded", exit_code: 0, error: null, artifacts: [] });
    }),
    SLOW_MS,
  );

  test(
    "the end of a program that fails is told as it was",
    where(language, async () => {
      const { job, stdout, stderr } = await runJob(service, {
        spec: { entry, args: ["fail"] },
        code: { [entry]: source },
      });
      expect({ stdout, stderr }).toEqual({ stdout: "hello\n[fail]\n", stderr: "failing\n" });
      expect(job).toMatchObject({ status: "failed", reason: "exit_code", exit_code: 3 });
    }),
    SLOW_MS,
  );

  if (broken !== undefined)
    test(
      "a program that does not compile ends as such, with what the compiler said, marked as that",
      where(language, async () => {
        const { job, stdout, stderr, compiler } = await runJob(service, {
          spec: { entry },
          code: { [entry]: broken.source },
        });
        expect(compiler).toContain(broken.says);
        expect([stdout, stderr]).toEqual(["", ""]);
        const stream = await fetch(`${service.url}/jobs/${job.id}/logs/stream?format=json`);
        expect(await stream.text()).toMatch(/^data: \{"stream":"compiler","text":".+"\}$/m);
        expect(job).toMatchObject({
          status: "failed",
          reason: "compile_error",
          error: "The compiler refused the program; the log says why.",
          usage: null,
          artifacts: [],
        });
        expect(job.exit_code).toBeGreaterThan(0);
      }),
      SLOW_MS,
    );
});

describe("what the compile step is given and leaves", () => {
  test(
    "other files of the language are compiled along, and headers are found from the working directory",
    where("c", async () => {
      const { stdout, job } = await runJob(service, {
        spec: { entry: "src/main.c" },
        code: {
          "src/main.c": '#include "lib/word.h"\nint main(void) { say(WORD); return 0; }\n',
          "src/deep/say.c": "#include <stdio.h>\nvoid say(const char *w) { puts(w); }\n",
          "lib/word.h": 'void say(const char *);\n#define WORD "well"\n',
          "other/main.c": "#error not below the entry's folder\n",
        },
      });
      expect([stdout, job.status]).toEqual(["well\n", "succeeded"]);
    }),
  );

  test(
    "a line is seen when it is printed, and what a program writes beside its binary is its artifact",
    where("c", async () => {
      const { id } = await submit(
        service.url,
        cProgram(
          '#include <stdio.h>\n#include <unistd.h>\nint main(void) { fclose(fopen("out.txt", "w")); puts("up"); pause(); }\n',
        ),
      );
      await untilPrinted(service.url, id, "data: up\n");
      await cancel(service.url, id);
      const job = await waitForEnd(service.url, id);
      expect(job.artifacts.map(({ name }) => name)).toEqual(["out.txt"]);
    }),
  );

  test(
    "what a compiler prints past the limit of the log is dropped, and the job ends",
    where("c", async () => {
      const warnings = `#warning ${"x".repeat(400)}\n`.repeat(2_000);
      const { job } = await runJob(
        service,
        cProgram(`${warnings}${HELLO_C}`, { limits: { output_mb: 1 } }),
      );
      expect(job).toMatchObject({ status: "succeeded", log: { bytes: 1024 * 1024 } });
      expect(job.log.dropped_bytes).toBeGreaterThan(0);
    }),
    SLOW_MS,
  );
});
