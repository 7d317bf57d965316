import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import { type ApiKey, newApiKey } from "../../src/keys/api-key.ts";
import { changeKeyFile } from "../../src/keys/key-file.ts";
import { openKnownKeys } from "../../src/keys/known-keys.ts";
import { recordedLog } from "../support/recorded-log.ts";

const root = mkdtempSync(join(tmpdir(), "known-keys-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let lastFolder = 0;
function freshPath(): string {
  lastFolder += 1;
  return join(root, lastFolder.toString(), "keys.json");
}

function made() {
  return newApiKey({ name: "ci", scopes: ["read"], quotas: NO_QUOTAS }, Date.now());
}

const revoked = (key: ApiKey): ApiKey => ({ ...key, revokedAtMs: Date.now() });

/** The keys of the file whenever they are asked for, and what was logged of it. */
async function open(path: string) {
  const { log, lines } = recordedLog();
  const keys = await openKnownKeys(path, log);
  return { keys, lines, events: () => lines.map(({ event }) => event) };
}

test("without a file no key is needed, until the first is made", async () => {
  const path = freshPath();
  const { keys, events } = await open(path);
  expect((await keys()).areNeeded).toBe(false);
  const { text, key } = made();
  expect((await keys()).find(text)).toBeNull();
  await changeKeyFile(path, () => [key]);
  const current = await keys();
  expect([current.areNeeded, current.find(text)]).toEqual([true, key]);
  expect(events()).toEqual(["keys_changed"]);
});

test("a key is revoked at once, whoever else asks; with the last one calls are not free again", async () => {
  const path = freshPath();
  const { text, key } = made();
  await changeKeyFile(path, () => [key]);
  const { keys, lines, events } = await open(path);
  expect((await keys()).find(text)).toEqual(key);
  await changeKeyFile(path, () => [revoked(key)]);
  const answers = await Promise.all(Array.from({ length: 20 }, () => keys()));
  for (const { areNeeded, find } of answers) expect([areNeeded, find(text)]).toEqual([true, null]);
  expect(events()).toEqual(["keys_changed"]);
  expect(lines.at(-1)?.message).toContain(`${key.id} (revoked)`);
  expect(JSON.stringify(lines)).not.toContain(text);
});

test("of keys that are made while many ask each is known to whoever asks after it", async () => {
  const path = freshPath();
  const { keys } = await open(path);
  const asking = { isOver: false };
  const others = Array.from({ length: 8 }, async () => {
    while (!asking.isOver) {
      await keys();
      // Callers come one by one: nothing of them keeps the process from what else it does.
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  for (let count = 0; count < 20; count += 1) {
    const { text, key } = made();
    await changeKeyFile(path, (known) => [...known.values(), key]);
    expect((await keys()).find(text)).toEqual(key);
  }
  asking.isOver = true;
  await Promise.all(others);
});

test("while the file cannot be read the last good keys stay, and each trouble is logged once", async () => {
  const path = freshPath();
  const { text, key } = made();
  await changeKeyFile(path, () => [key]);
  const { keys, events, lines } = await open(path);
  const expectGood = async () => {
    const { areNeeded, find } = await keys();
    expect([areNeeded, find(text)]).toEqual([true, key]);
  };
  writeFileSync(path, "{");
  for (let times = 0; times < 3; times += 1) await expectGood();
  expect(events()).toEqual(["keys_unreadable"]);
  expect(lines.at(-1)).toMatchObject({ level: "error", message: expect.stringContaining(path) });
  rmSync(path);
  for (let times = 0; times < 3; times += 1) await expectGood();
  expect(events()).toEqual(["keys_unreadable", "keys_unreadable"]);
  await changeKeyFile(path, () => [revoked(key)]);
  expect((await keys()).find(text)).toBeNull();
  expect(events()).toEqual(["keys_unreadable", "keys_unreadable", "keys_changed"]);
});

test("a first file that cannot be read closes the door that was open", async () => {
  const path = freshPath();
  await changeKeyFile(path, () => []);
  const { keys, events, lines } = await open(path);
  expect((await keys()).areNeeded).toBe(false);
  writeFileSync(path, "{");
  const { areNeeded, find } = await keys();
  expect([areNeeded, find(made().text)]).toEqual([true, null]);
  expect(events()).toEqual(["keys_unreadable"]);
  rmSync(path);
  expect((await keys()).areNeeded).toBe(false);
  expect(lines.at(-1)).toMatchObject({
    event: "keys_changed",
    message: "The API keys are now: none.",
  });
});

test("a file that cannot be read to begin with is an error", async () => {
  const path = freshPath();
  await changeKeyFile(path, () => []);
  writeFileSync(path, "{");
  const opening = openKnownKeys(path, recordedLog().log);
  expect(await opening.catch((error: unknown) => error)).toMatchObject({
    name: "KeyFileError",
    message: expect.stringContaining(path),
  });
});
