import { expect, test } from "bun:test";

import { useRuntimes } from "../../support/runtimes.ts";

const { run, whereInstalled } = useRuntimes();
const php = (source: string) =>
  run({ runtime: "php", entry: "main.php", files: { "main.php": source } });

test(
  "an error is told on stderr, once, and ends with 255",
  whereInstalled("php", async () => {
    const { stdout, stderr, exit } = await php('<?php echo "up\\n"; throw new Exception("no");\n');
    expect(stdout).toBe("up\n");
    expect(stderr.match(/Uncaught Exception: no/g)).toHaveLength(1);
    expect(exit!.exitCode).toBe(255);
  }),
);

test(
  "the extensions of this machine's PHP are there, and its own limit of memory is not",
  whereInstalled("php", async () => {
    const { stdout, stderr } = await php(
      '<?php echo json_encode(ctype_alpha("a")), strlen(str_repeat("x", 200 << 20)), "\\n";\n',
    );
    expect({ stdout, stderr }).toEqual({ stdout: `true${200 << 20}\n`, stderr: "" });
  }),
);
