import { expect, test } from "bun:test";

import { buildKey } from "../../src/executor/build-key.ts";

const GIVEN: Parameters<typeof buildKey>[0] = {
  runtime: { name: "c", version: "gcc 12.2.0", binary: "/bin/sh" },
  step: { env: {}, helpers: {} },
  argv: ["gcc", "-O2", "./main.c"],
  callerId: null,
  files: [
    { path: "main.c", sha256: "1" },
    { path: "util.c", sha256: "2" },
  ],
};

test("the same compile has the same key, in whatever order its files were sent", async () => {
  const key = await buildKey(GIVEN);
  expect(key).toMatch(/^[\da-f]{64}$/);
  expect(await buildKey({ ...GIVEN, files: GIVEN.files.toReversed() })).toBe(key);
});

test("whatever decides what is made changes the key", async () => {
  const { runtime, step, files } = GIVEN;
  const others: readonly Partial<typeof GIVEN>[] = [
    {},
    { runtime: { ...runtime, name: "c++" } },
    { runtime: { ...runtime, version: "gcc 12.3.0" } },
    { runtime: { ...runtime, binary: "/bin/cat" } },
    { runtime: { ...runtime, binary: "/no/such/binary" } },
    { step: { ...step, env: { A: "1" } } },
    { step: { ...step, helpers: { "helper.c": "" } } },
    { argv: ["gcc", "-O2 ./main.c"] },
    { netPolicy: "full" },
    { netPolicy: { allow: ["example.com"] } },
    { callerId: "a" },
    { callerId: "b" },
    { files: files.slice(1) },
    { files: [{ path: "main.c", sha256: "3" }, ...files.slice(1)] },
    { files: [{ path: "Main.c", sha256: "1" }, ...files.slice(1)] },
  ];
  const keys = await Promise.all(others.map((other) => buildKey({ ...GIVEN, ...other })));
  expect(new Set(keys).size).toBe(others.length);
});
