import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { processIdentity } from "../../src/platform/process-identity.ts";
import {
  makeRuntimeDirectory,
  removeRuntimeDirectory,
} from "../../src/platform/runtime-directory.ts";

let parent: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "runtime-parent-"));
});
afterAll(() => rm(parent, { recursive: true }));

async function directoryOf(name: string, owner: string): Promise<void> {
  await mkdir(join(parent, name));
  await writeFile(join(parent, name, "owner"), owner);
}

test("the next process removes what dead ones left, and nothing else", async () => {
  const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  const dead = processIdentity(child.pid);
  child.kill("SIGKILL");
  await child.exited;
  await directoryOf("job-runner-dead", dead);
  await directoryOf("job-runner-alive", processIdentity());
  await directoryOf("job-runner-elsewhere", "another-host/boot/1/1/1");
  await directoryOf("other-dead", dead);
  await mkdir(join(parent, "job-runner-empty"));
  const made = await makeRuntimeDirectory(parent);
  expect((await readdir(parent)).toSorted()).toEqual(
    [
      "job-runner-alive",
      "job-runner-elsewhere",
      "job-runner-empty",
      "other-dead",
      made.slice(parent.length + 1),
    ].toSorted(),
  );
  await removeRuntimeDirectory(made);
  expect(await readdir(parent)).not.toContain(made.slice(parent.length + 1));
});
