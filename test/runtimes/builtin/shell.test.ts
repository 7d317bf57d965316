import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, named } = useRuntimes();

test("bash and sh are what they say, $0 is the entry as it was uploaded", async () => {
  expect(named("bash").version).toMatch(/^\d+\.\d+/);
  expect(named("sh").version).toMatch(/^[a-z]+$/);
  for (const runtime of ["bash", "sh"]) {
    const { stdout } = await run({
      runtime,
      entry: "main.sh",
      files: { "main.sh": 'echo "$0 $1 $#"; echo "${BASH_VERSION:+bash}"' },
      args: ["-x", ""],
    });
    expect(stdout).toBe(`main.sh -x 2\n${runtime === "bash" ? "bash" : ""}\n`);
  }
});
