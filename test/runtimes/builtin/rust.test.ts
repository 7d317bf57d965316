import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { rust } from "../../../src/runtimes/builtin/rust.ts";
import { useRuntimes } from "../../support/runtimes.ts";

const { run, named, whereInstalled } = useRuntimes();

test(
  "its version is the compiler's own; modules are found from the entry on",
  whereInstalled("rust", async () => {
    expect(named("rust").version).toMatch(/^\d+\.\d+\.\d+/);
    const { stdout, stderr } = await run({
      runtime: "rust",
      entry: "my-program 2.rs",
      files: {
        "my-program 2.rs": 'mod word;\nfn main() { println!("{}", word::WORD); }\n',
        "word.rs": 'pub const WORD: &str = "well";\n',
      },
    });
    expect({ stdout, stderr }).toEqual({ stdout: "well\n", stderr: "" });
  }),
  60_000,
);

test(
  "a panic is told with its line, and ends with 101",
  whereInstalled("rust", async () => {
    const { stderr, exit } = await run({
      runtime: "rust",
      entry: "main.rs",
      files: { "main.rs": 'fn main() {\n    panic!("no");\n}\n' },
    });
    expect(exit!.exitCode).toBe(101);
    expect(stderr).toContain("main.rs:2");
  }),
  60_000,
);

test("of a toolchain outside /usr guests see the compiler and its libraries alone", () => {
  const prefix = mkdtempSync(join(tmpdir(), "rust-prefix-"));
  for (const directory of ["bin", "lib/rustlib", "lib/other"])
    mkdirSync(join(prefix, directory), { recursive: true });
  for (const name of ["librustc_driver-61.so", "libLLVM.so.22.1-rust-1.95.0-stable", "libother.so"])
    writeFileSync(join(prefix, "lib", name), "");
  const binary = join(prefix, "bin/rustc");
  const mounts = rust.describe({ binary, name: "rust", isDefault: true }, "")!.mounts;
  const library = ["libLLVM.so.22.1-rust-1.95.0-stable", "librustc_driver-61.so", "rustlib"];
  expect(mounts.map(({ hostPath }) => hostPath).toSorted()).toEqual(
    [binary, ...library.map((name) => join(prefix, "lib", name))].toSorted(),
  );
  const elsewhere = { binary: join(prefix, "sbin/rustc"), name: "rust", isDefault: true };
  expect(rust.describe(elsewhere, "")).toBeNull();
  rmSync(prefix, { recursive: true });
});
