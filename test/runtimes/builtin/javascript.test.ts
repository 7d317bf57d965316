import { expect, test } from "bun:test";

import { stripsTypes } from "../../../src/runtimes/builtin/javascript.ts";
import { useRuntimes } from "../../support/runtimes.ts";

const { run, all } = useRuntimes();
const engines = () => all().filter(({ extensions }) => extensions.includes(".mjs"));

test("node runs TypeScript from the versions on that do so unasked", () => {
  const versions = ["20.20.2", "22.17.1", "22.18.0", "23.5.0", "23.6.0", "24.0.0"];
  expect(versions.filter(stripsTypes)).toEqual(["22.18.0", "23.6.0", "24.0.0"]);
});

test("arguments arrive, and the working directory is /work", async () => {
  expect(engines().length).toBeGreaterThan(0);
  for (const { name } of engines()) {
    const { stdout } = await run({
      runtime: name,
      entry: "main.mjs",
      files: {
        "main.mjs": "import p from 'node:process'; console.log(p.cwd(), ...p.argv.slice(2))",
      },
      args: ["--version", "a b"],
    });
    expect([name, stdout]).toEqual([name, "/work --version a b\n"]);
  }
});

test("memory past the limit ends the program, and what it may use is there", async () => {
  const fill = (mb: number) =>
    `const a = []; for (let i = 0; i < ${mb / 16}; i++) a.push(new Uint8Array(16 << 20).fill(1)); console.log(a.length)`;
  for (const { name } of engines()) {
    const job = (mb: number) =>
      run({ runtime: name, entry: "main.mjs", files: { "main.mjs": fill(mb) } });
    expect([name, (await job(256)).stdout]).toEqual([name, "16\n"]);
    const over = await job(2048);
    expect([name, over.stdout]).toEqual([name, ""]);
    expect(over.exit!.exitCode).not.toBe(0);
  }
});
