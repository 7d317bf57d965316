import { expect, test } from "bun:test";

import { digestOf, idempotencyKeyOf } from "../../src/api/idempotency.ts";
import { newJob } from "../contract/store-harness.ts";

const keyOf = (value: string) =>
  idempotencyKeyOf(new Request("http://x/", { headers: { "Idempotency-Key": value } }));

test("a key is 1 to 255 visible characters, and none is none", () => {
  expect(idempotencyKeyOf(new Request("http://x/"))).toBeNull();
  expect(keyOf("a")).toMatch(/^[0-9a-f]{64}$/);
  expect(keyOf("a".repeat(255))).not.toBe(keyOf("a".repeat(254)));
  for (const bad of ["", "a b", "a".repeat(256), "na\u00efve"])
    expect(() => keyOf(bad)).toThrow("Idempotency-Key: Expected 1 to 255 visible ASCII");
});

test("a digest is the same for the same job, in whatever order it was sent", () => {
  const file = (path: string, sha256: string, role: "code" | "input" = "code") => ({
    path,
    role,
    blob: crypto.randomUUID(),
    sizeBytes: 1,
    sha256,
  });
  const job = (env: Record<string, string>, files: ReturnType<typeof file>[]) =>
    digestOf(newJob({ spec: { env }, files }));
  const same = job({ a: "1", b: "2" }, [file("x", "1"), file("y", "2")]);
  expect(job({ b: "2", a: "1" }, [file("y", "2"), file("x", "1")])).toBe(same);
  const others = [
    job({ a: "1", b: "3" }, [file("x", "1"), file("y", "2")]),
    job({ a: "1" }, [file("x", "1"), file("y", "2")]),
    job({ a: "1", b: "2" }, [file("x", "1"), file("y", "3")]),
    job({ a: "1", b: "2" }, [file("x", "1"), file("z", "2")]),
    job({ a: "1", b: "2" }, [file("x", "1"), file("y", "2", "input")]),
    job({ a: "1", b: "2" }, [file("x", "1")]),
  ];
  expect(new Set([same, ...others]).size).toBe(7);
});

test("a digest tells an argument list from another that reads the same when joined", () => {
  const of = (args: string[]) => digestOf(newJob({ spec: { args } }));
  expect(of(["a", "b"])).not.toBe(of(["a,b"]));
  expect(of(["b", "a"])).not.toBe(of(["a", "b"]));
});
