import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, printedBefore, whereInstalled } = useRuntimes();

test(
  "what is printed is seen when it is printed",
  whereInstalled("perl", async () => {
    const text = await printedBefore("perl", "main.pl", 'print "one\\n"; sleep 600', "one\n");
    expect(text).toBe("one\n");
  }),
);

test(
  "what makes it so is not seen by the program: its lines, its name, its strictness",
  whereInstalled("perl", async () => {
    const { stdout, stderr, exit } = await run({
      runtime: "perl",
      entry: "main.pl",
      files: { "main.pl": 'print "$0 ", __LINE__, " @ARGV\\n"; $loose = 1;\ndie "no";\n' },
      args: ["-x", "a b"],
    });
    expect(stdout).toBe("main.pl 1 -x a b\n");
    expect(stderr).toBe("no at main.pl line 2.\n");
    expect(exit!.exitCode).not.toBe(0);
  }),
);
