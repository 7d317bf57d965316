import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  asGiven,
  asPath,
  binaryMount,
  findPrograms,
  folderMounts,
  installationMounts,
  realBinary,
  versionBins,
} from "../../../src/runtimes/builtin/find-binary.ts";

const directory = mkdtempSync(join(tmpdir(), "job-runner-find-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("a binary is real by its bytes and its name", async () => {
  symlinkSync("/usr/bin/perl", join(directory, "perl"));
  symlinkSync("/usr/bin/perl", join(directory, "manager"));
  writeFileSync(join(directory, "script"), "#!/bin/sh\n", { mode: 0o755 });
  expect(await realBinary(join(directory, "perl"), /^perl$/)).toBe("/usr/bin/perl");
  expect(await realBinary(join(directory, "manager"), /^manager$/)).toBeNull();
  expect(await realBinary(join(directory, "script"), /^script$/)).toBeNull();
  expect(await realBinary(join(directory, "absent"), /./)).toBeNull();
  expect(await realBinary(directory, /./)).toBeNull();
});

test("versions are tried newest first", async () => {
  for (const version of ["3.9.1", "3.10.2", "3.12.0"])
    mkdirSync(join(directory, "v", version), { recursive: true });
  expect(await versionBins(join(directory, "v"))).toEqual(
    ["3.12.0", "3.10.2", "3.9.1"].map((version) => join(directory, "v", version, "bin")),
  );
  expect(await versionBins(join(directory, "absent"))).toEqual([]);
});

test("of several programs the preferred name comes first, then the directory, each real one once", async () => {
  const [one, two] = ["one", "two"].map((name) => join(directory, "p", name)) as [string, string];
  for (const each of [one, two]) mkdirSync(each, { recursive: true });
  symlinkSync("/usr/bin/perl", join(one, "second"));
  symlinkSync("/usr/bin/bash", join(two, "first"));
  symlinkSync("/usr/bin/bash", join(two, "second"));
  const search = { name: "x", programs: ["first", "second"], directories: [one, two] };
  expect(await findPrograms({ ...search, realName: /^(?:perl|bash)$/ })).toEqual([
    { name: "x", binary: "/usr/bin/bash", isDefault: true },
    { name: "x", binary: "/usr/bin/perl", isDefault: true },
  ]);
  expect(await findPrograms({ ...search, realName: /^python$/ })).toEqual([]);
});

test("of an installation guests are shown the program and what of its library fits, or a folder's parts", () => {
  const prefix = join(directory, "prefix");
  for (const part of ["bin", "lib/mine", "lib/other"])
    mkdirSync(join(prefix, part), { recursive: true });
  const binary = join(prefix, "bin/program");
  const shown = (...parts: readonly string[]) =>
    parts.map((part) => ({ hostPath: join(prefix, part) }));
  expect(installationMounts(binary, /^mine$/)).toEqual(shown("bin/program", "lib/mine"));
  expect(installationMounts(binary, /^absent$/)).toBeNull();
  expect(installationMounts(join(prefix, "lib/program"), /^mine$/)).toBeNull();
  expect(folderMounts(binary, ["bin", "lib"])).toEqual(shown("bin", "lib"));
  expect(folderMounts(binary, ["bin", "conf"])).toBeNull();
  for (const mounts of [installationMounts("/usr/bin/x", /./), folderMounts("/usr/bin/x", ["y"])])
    expect(mounts).toEqual([]);
});

test("what guests are shown is the binary alone", () => {
  expect(binaryMount("/usr/bin/node")).toEqual([]);
  expect(binaryMount("/opt/n/bin/node")).toEqual([{ hostPath: "/opt/n/bin/node" }]);
});

test("an entry is never an option", () => {
  expect(asPath("-x")).toBe("./-x");
  expect([asGiven("main.py"), asGiven(".a"), asGiven("-x"), asGiven("+x")]).toEqual([
    "main.py",
    ".a",
    "./-x",
    "./+x",
  ]);
});
