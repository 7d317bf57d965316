import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, printedBefore, whereInstalled } = useRuntimes();

test(
  "a line that is printed is a line that is seen",
  whereInstalled("lua", async () => {
    const text = await printedBefore(
      "lua",
      "main.lua",
      "print('one', 1)\nwhile true do end",
      "one\t1\n",
    );
    expect(text).toBe("one\t1\n");
  }),
);

test(
  "arg[0] is the entry as it was uploaded, files beside it are found, and an error ends with 1",
  whereInstalled("lua", async () => {
    const { stdout, stderr, exit } = await run({
      runtime: "lua",
      entry: "main.lua",
      files: {
        "main.lua": "print(arg[0], require('word'))\nerror('no')\n",
        "word.lua": "return 'well'\n",
      },
    });
    expect(stdout).toStartWith("main.lua\twell");
    expect(stderr).toContain("main.lua:2: no");
    expect(exit!.exitCode).toBe(1);
  }),
);
