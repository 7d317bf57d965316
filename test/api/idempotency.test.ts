import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import type { Api } from "../../src/api/app.ts";
import { digestOf, idempotencyKeyOf } from "../../src/api/idempotency.ts";
import { AppError } from "../../src/errors.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import { newJob } from "../contract/store-harness.ts";
import { call, openApi, shellJob } from "../support/api.ts";
import { overridden } from "../support/overridden.ts";

const keyOf = (value: string, apiKeyId: string | null = null) =>
  idempotencyKeyOf(new Request("http://x/", { headers: { "Idempotency-Key": value } }), apiKeyId);

test("a key is 1 to 255 visible characters, and none is none", () => {
  expect(idempotencyKeyOf(new Request("http://x/"), null)).toBeNull();
  expect(keyOf("a")).toMatch(/^[0-9a-f]{64}$/);
  expect(keyOf("a".repeat(255))).not.toBe(keyOf("a".repeat(254)));
  for (const bad of ["", "a b", "a".repeat(256), "na\u00efve"])
    expect(() => keyOf(bad)).toThrow("Idempotency-Key: Expected 1 to 255 visible ASCII");
});

test("the same key of another API key is another", () => {
  const keys = [keyOf("a"), keyOf("a", "b"), keyOf("a", "c"), keyOf("ba"), keyOf("b")];
  expect(new Set(keys).size).toBe(keys.length);
  expect(keyOf("a", "b")).toBe(keyOf("a", "b"));
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

test("the order of keys does not count for a digest, at any depth, and their values do", () => {
  const of = (spec: unknown) => digestOf({ spec, files: [] });
  expect(of({ a: { b: 1, c: [{ d: 2, e: 3 }] } })).toBe(of({ a: { c: [{ e: 3, d: 2 }], b: 1 } }));
  expect(of({ a: { b: 1, c: [{ d: 2, e: 3 }] } })).not.toBe(
    of({ a: { b: 1, c: [{ d: 3, e: 2 }] } }),
  );
});

describe("a request with a key", () => {
  let parts: Awaited<ReturnType<typeof openApi>>;
  beforeAll(async () => {
    parts = await openApi();
  });
  afterAll(() => parts.close());

  const post = async (api: Api, key: string, body: FormData) => {
    const response = await call(api, "POST /jobs", { headers: { "Idempotency-Key": key }, body });
    const { id, code } = (await response.json()) as {
      readonly id?: string;
      readonly code?: string;
    };
    return [response.status, code ?? id, response.headers.get("idempotent-replayed")] as const;
  };
  /** Removes the uploads that are no job's; resolves to how many there were. */
  const abandoned = () =>
    parts.workshop.files.removeAbandonedUploads({
      olderThanMs: 0,
      isStored: async (id) => (await parts.workshop.store.get(id)) !== null,
    });

  test("that was answered before is answered by a server that would not take it any more", async () => {
    const first = await post(parts.api, "k1", shellJob());
    expect(first).toEqual([202, expect.any(String), null]);
    const none = createRuntimeRegistry([], { strict: false });
    const without = parts.with({ runtimes: () => Promise.resolve(none) });
    expect(await post(without, "k1", shellJob())).toEqual([202, first[1], "true"]);
    const other = shellJob({ args: ["x"] });
    expect(await post(without, "k1", other)).toEqual([422, "idempotency_key_reused", null]);
    expect(await post(without, "k2", shellJob())).toEqual([503, "sandbox_unavailable", null]);
    expect(await abandoned()).toBe(0);
  });

  test("that the store cannot look up has stored nothing, and leaves no files", async () => {
    const down = new AppError("store_unavailable", "No answer.");
    const store = overridden(parts.workshop.store, { findSubmitted: () => Promise.reject(down) });
    const answer = await post(parts.with({ store }), "k3", shellJob());
    expect(answer).toEqual([503, "store_unavailable", null]);
    expect(await abandoned()).toBe(0);
  });

  test.each([
    ["deep its spec is nested", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
    ["many values its spec has", `[${"0,".repeat(100_000)}0]`],
  ])("is refused as one without, however %s", async (_what, args) => {
    const body = shellJob();
    body.set("spec", `{"entry":"main.sh","args":${args}}`);
    expect(await post(parts.api, "k4", body)).toEqual([422, "invalid_spec", null]);
  });
});
