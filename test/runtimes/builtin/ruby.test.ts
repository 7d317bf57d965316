import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, printedBefore, whereInstalled } = useRuntimes();

test(
  "what is printed is seen when it is printed",
  whereInstalled("ruby", async () => {
    const text = await printedBefore("ruby", "main.rb", "puts 'one'\nsleep 600", "one\n");
    expect(text).toBe("one\n");
  }),
);

test(
  "$0 is the entry as it was uploaded, files beside it are found, and an exception ends with 1",
  whereInstalled("ruby", async () => {
    const { stdout, stderr, exit } = await run({
      runtime: "ruby",
      entry: "main.rb",
      files: {
        "main.rb":
          "require_relative 'word'\nputs $0, WORD, $PROGRAM_NAME == __FILE__\nraise 'no'\n",
        "word.rb": "WORD = 'zwölf'\n",
      },
    });
    expect(stdout).toBe("main.rb\nzwölf\ntrue\n");
    expect(stderr).toStartWith("main.rb:3:in");
    expect(exit!.exitCode).toBe(1);
  }),
);
