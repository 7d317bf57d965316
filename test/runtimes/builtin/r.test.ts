import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, whereInstalled } = useRuntimes();

test(
  "the libraries that come with R are there, and an error ends with 1",
  whereInstalled("r", async () => {
    const { stdout, stderr, exit, files } = await run({
      runtime: "r",
      entry: "main.R",
      files: { "main.R": "cat(stats::median(c(1, 2, 9)), '\\n')\nstop('no')\n" },
    });
    expect(stdout).toBe("2 \n");
    expect(stderr).toContain("Error: no");
    expect(exit!.exitCode).toBe(1);
    expect(Object.keys(files).filter((path) => path !== "main.R")).toEqual([]);
  }),
  30_000,
);
