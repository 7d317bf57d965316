import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import { newApiKey } from "../../src/keys/api-key.ts";
import {
  changeKeyFile,
  KeyFileError,
  readKeyFile,
  versionOfKeyFile,
} from "../../src/keys/key-file.ts";

const root = mkdtempSync(join(tmpdir(), "key-file-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let lastFolder = 0;
function freshPath(): string {
  lastFolder += 1;
  return join(root, lastFolder.toString(), "data", "keys.json");
}

function newKey(name = "ci") {
  return newApiKey({ name, scopes: ["read"], quotas: NO_QUOTAS }, Date.now()).key;
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

test("without a file there are no keys", async () => {
  expect(await readKeyFile(freshPath())).toEqual(new Map());
});

test("what was changed is read, and is its owner's alone", async () => {
  const path = freshPath();
  const [first, second] = [newKey("first"), newKey("second")];
  await changeKeyFile(path, () => [first]);
  await changeKeyFile(path, (keys) => [...keys.values(), second]);
  expect(await readKeyFile(path)).toEqual(
    new Map([
      [first.id, first],
      [second.id, second],
    ]),
  );
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(path, "..")).mode & 0o777).toBe(0o700);
  expect(existsSync(`${path}.next`)).toBe(false);
});

test("of changes at the same time none is lost: they come after one another, or are refused", async () => {
  const path = freshPath();
  const keys = Array.from({ length: 20 }, () => newKey());
  const outcomes = await Promise.all(
    keys.map(async (key) => ({
      key,
      error: await errorOf(changeKeyFile(path, (known) => [...known.values(), key])),
    })),
  );
  const done = outcomes.filter(({ error }) => error === null).map(({ key }) => key.id);
  expect(done.length).toBeGreaterThan(0);
  expect([...(await readKeyFile(path)).keys()].toSorted()).toEqual(done.toSorted());
  for (const { error } of outcomes)
    if (error !== null)
      expect(error).toMatchObject({
        message: expect.stringContaining("another command is changing the keys"),
      });
});

test("a change that fails leaves the file as it was, and the way free", async () => {
  const path = freshPath();
  await changeKeyFile(path, () => [newKey()]);
  const before = readFileSync(path, "utf8");
  const failure = new Error("No");
  const change = changeKeyFile(path, () => {
    throw failure;
  });
  expect(await errorOf(change)).toBe(failure);
  expect(readFileSync(path, "utf8")).toBe(before);
  await changeKeyFile(path, () => []);
  expect(await readKeyFile(path)).toEqual(new Map());
});

test("a file that is no key file is neither read nor written over", async () => {
  const path = freshPath();
  await changeKeyFile(path, () => [newKey()]);
  writeFileSync(path, "{");
  for (const use of [readKeyFile(path), changeKeyFile(path, () => [])]) {
    const error = await errorOf(use);
    expect(error).toBeInstanceOf(KeyFileError);
    expect(String(error)).toContain(path);
  }
  expect(readFileSync(path, "utf8")).toBe("{");
});

test.if(process.getuid?.() === 0)(
  "what root makes is for the owner of the folder to read",
  async () => {
    const path = freshPath();
    await changeKeyFile(path, () => [newKey()]);
    const folder = join(path, "..");
    chownSync(folder, 20_001, 20_002);
    chmodSync(folder, 0o700);
    await changeKeyFile(path, () => [newKey()]);
    expect(statSync(path)).toMatchObject({ uid: 20_001, gid: 20_002 });
  },
);

test("what is no regular file is told, and not waited for", async () => {
  const path = freshPath();
  await changeKeyFile(path, () => [newKey()]);
  const version = versionOfKeyFile(path);
  unlinkSync(path);
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  expect(await errorOf(readKeyFile(path))).toMatchObject({
    name: "KeyFileError",
    message: expect.stringContaining("no regular file"),
  });
  // Whoever looks whether it has changed sees that it has.
  expect(versionOfKeyFile(path)).not.toBe(version);
});
