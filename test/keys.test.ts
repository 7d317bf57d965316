import { afterAll, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { createKey, runKeys } from "./support/keys.ts";
import { freshDataDir, removeDataDir, startService } from "./support/service.ts";

const dataDirs: string[] = [];
afterAll(() => Promise.all(dataDirs.map(removeDataDir)));

async function dataDir(): Promise<string> {
  const made = await freshDataDir();
  dataDirs.push(made);
  return made;
}

test("create prints the key alone, once; list shows all but the key", async () => {
  const dir = await dataDir();
  const { stdout, stderr, exitCode } = await runKeys(dir, ["create", "ci", "--max-active", "10"]);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^jr_[\da-f]{16}_[\w-]{43}\n$/);
  expect(stderr).toContain("It is shown this once, and noted in /");
  const [, id = "", secret = ""] = /^jr_([\da-f]{16})_(.+)\n$/.exec(stdout) ?? [];
  const file = join(dir, "keys.json");
  expect(readFileSync(file, "utf8")).not.toContain(secret);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { stdout: table } = await runKeys(dir, ["list"]);
  expect(table).toMatch(new RegExp(`^${id}  submit,read  10 active .* good   ci$`, "m"));
  expect(table).not.toContain(secret);
});

test("revoke marks a key, once and for all, and knows no other", async () => {
  const dir = await dataDir();
  const key = await createKey(dir, "ci");
  const other = await createKey(dir, "other");
  expect((await runKeys(dir, ["revoke", key.id])).exitCode).toBe(0);
  const afterFirst = readFileSync(join(dir, "keys.json"), "utf8");
  expect((await runKeys(dir, ["revoke", key.id])).exitCode).toBe(0);
  expect(readFileSync(join(dir, "keys.json"), "utf8")).toBe(afterFirst);
  const { stdout } = await runKeys(dir, ["list"]);
  expect(stdout).toMatch(new RegExp(`^${key.id} .* revoked `, "m"));
  expect(stdout).toMatch(new RegExp(`^${other.id} .* good `, "m"));
  const unknown = await runKeys(dir, ["revoke", "0".repeat(16)]);
  expect(unknown).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("There is no key"),
  });
});

test("what is no command is told so, and help is help", async () => {
  const dir = await dataDir();
  expect(await runKeys(dir, ["delete", "x"])).toMatchObject({ exitCode: 2, stdout: "" });
  expect(await runKeys(dir, ["--help"])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("revoke ID"),
  });
});

test("a key file that cannot be read stops the command and the start of a server, which says why", async () => {
  const dir = await dataDir();
  await createKey(dir, "ci");
  writeFileSync(join(dir, "keys.json"), '{"version":1}');
  expect(await runKeys(dir, ["create", "another"])).toMatchObject({
    exitCode: 1,
    stdout: "",
    stderr: expect.stringContaining("keys.json in JOB_DATA_DIR, cannot be read"),
  });
  const starting = startService({ dataDir: dir });
  expect(String(await starting.catch((error: unknown) => error))).toMatch(
    /ended with 1: .*keys\.json in JOB_DATA_DIR, cannot be read/,
  );
});

test("an address that others reach needs a key, which may be one of the file", async () => {
  const dir = await dataDir();
  const env = { HOST: "0.0.0.0" };
  const refused = startService({ dataDir: dir, env });
  expect(String(await refused.catch((error: unknown) => error))).toMatch(
    /ended with 2: HOST is "0\.0\.0\.0", which others reach, and there is no API key: /,
  );
  await createKey(dir, "ci");
  const service = await startService({ dataDir: dir, env });
  expect((await fetch(`${service.url.replace("0.0.0.0", "127.0.0.1")}/jobs`)).status).toBe(401);
  await service.stop();
}, 30_000);

test("a data folder that cannot be used is told in a sentence, by the command and by a server", async () => {
  const dir = await dataDir();
  await createKey(dir, "makes the folder");
  const file = join(dir, "a-file");
  writeFileSync(file, "");
  for (const unusable of [file, join(file, "below"), "/proc/nowhere"]) {
    const { exitCode, stderr } = await runKeys(unusable, ["create", "ci"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("JOB_DATA_DIR");
    expect(stderr).not.toContain("    at ");
    const refused = await startService({ dataDir: unusable }).then(String, String);
    expect(refused).toContain("JOB_DATA_DIR");
    expect(refused).not.toContain("    at ");
  }
});
