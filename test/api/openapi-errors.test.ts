import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { openApiDocument } from "../../src/api/openapi.ts";
import { ERRORS, errorExamples } from "../../src/api/openapi-errors.ts";
import { OpenStreams } from "../../src/api/open-streams.ts";
import type { ApiPorts } from "../../src/api/ports.ts";
import { errorStatuses } from "../../src/api/problem.ts";
import { AppError, type ErrorCode } from "../../src/errors.ts";
import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import { findApiKey, newApiKey, type Scope } from "../../src/keys/api-key.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import { runtimeInfo } from "../../src/runtimes/runtime.ts";
import type { Store } from "../../src/store/store.ts";
import { EMPTY_LOG, SUCCEEDED } from "../contract/store-harness.ts";
import { ANYBODY, call, openApi, shellJob } from "../support/api.ts";
import { overridden } from "../support/overridden.ts";

/*
 * The table of errors against reality. Everything that can go wrong is done to every operation: what an operation answers
 * must stand in its row, and what stands there must have been answered.
 */

type Route = keyof typeof ERRORS;
const ROUTES = Object.keys(ERRORS) as readonly Route[];
const NOBODY = "00000000-0000-4000-8000-000000000000";

/** Nothing behind these can be made to fail: they answer with what is in the process. */
const CANNOT_FAIL: readonly Route[] = [
  "GET /livez",
  "GET /openapi.json",
  "GET /docs",
  "GET /docs/:file",
];

/** What is done to a request. */
interface Provocation {
  /** Parts of the server that are in a bad way. */
  readonly ports?: () => Partial<ApiPorts>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: string | ((route: Route) => string);
  /** Stands for `:id` and `:file`. */
  readonly name?: () => string;
  readonly body?: () => RequestInit["body"];
}

let parts: Awaited<ReturnType<typeof openApi>>;
let endedId: string;
let queuedId: string;

async function submit(init: Parameters<typeof call>[2]): Promise<string> {
  const response = await call(parts.api, "POST /jobs", init);
  return ((await response.json()) as { readonly id: string }).id;
}

beforeAll(async () => {
  parts = await openApi();
  const { store, files } = parts.workshop;
  endedId = await submit({ body: shellJob() });
  const claimed = await store.claim({ owner: "test", slot: 0, token: "one" });
  if (claimed?.id !== endedId) throw new Error("Another job was claimed");
  const { epoch } = claimed;
  const bytes = new Blob(["hello"]).stream();
  const artifact = await files.artifactWriter(endedId, epoch).add({ path: "out.txt", bytes });
  if (artifact === null) throw new Error("The artifact was not kept");
  const outcome = { ...SUCCEEDED, artifacts: [artifact] };
  await store.finish({ id: endedId, epoch, owner: "test", lastSeq: 0, outcome, log: EMPTY_LOG });
  const headers = { "Idempotency-Key": "used" };
  queuedId = await submit({ body: shellJob({ args: ["of another job"] }), headers });
});

afterAll(() => parts.close());

/** A store of which every call fails. */
function brokenStore(failure: Error): Store {
  return new Proxy<Store>(parts.workshop.store, {
    get: (store, name) => (name === "kind" ? store.kind : () => Promise.reject(failure)),
  });
}

function broken(failure: Error): Partial<ApiPorts> {
  const fail = () => {
    throw failure;
  };
  const reject = () => Promise.reject(failure);
  return {
    store: brokenStore(failure),
    storeStats: reject,
    metrics: reject,
    runtimes: reject,
    reasonsNotReady: fail,
    sandbox: fail,
  };
}

function fullStore(): Partial<ApiPorts> {
  const reject = () => Promise.reject(new AppError("storage_full", "No room."));
  const members = { submit: reject, submitOnce: reject, requestCancel: reject, remove: reject };
  return { store: overridden(parts.workshop.store, members) };
}

/** Parts that keep what a DELETE removes, for whatever comes after. */
function keeping(): Partial<ApiPorts> {
  const { store, files } = parts.workshop;
  return {
    store: overridden(store, { remove: () => Promise.resolve(true) }),
    files: overridden(files, { remove: () => Promise.resolve() }),
  };
}

function withRuntimes(names: readonly string[]): Partial<ApiPorts> {
  const { shell } = parts.workshop;
  const registry = createRuntimeRegistry(
    names.map((name) => runtimeInfo({ ...shell, name, extensions: [`.${name}`] })),
    { strict: false },
  );
  return { runtimes: () => Promise.resolve(registry) };
}

function lowerCeiling(): Partial<ApiPorts> {
  const bound = { default: 0.5, max: 0.5 };
  const all = { memoryMb: bound, cpuSec: bound, processes: bound, diskMb: bound, outputMb: bound };
  return {
    specs: { bounds: { ...all, timeoutSec: bound }, netPolicies: ["none"], callbacks: null },
  };
}

const away = new AppError("store_unavailable", "No answer.");
/** Calls of a key that may do and use so much. */
function ofKey(scopes: readonly Scope[], quotas = NO_QUOTAS): Provocation {
  const { text, key } = newApiKey({ name: "test", scopes, quotas }, 0);
  const find = (given: string) => findApiKey(new Map([[key.id, key]]), given);
  const keys = () => Promise.resolve({ areNeeded: true, find });
  return { headers: { "x-api-key": text }, ports: () => ({ callers: { ...ANYBODY, keys } }) };
}

const PROVOCATIONS: Readonly<Record<string, Provocation>> = {
  nothing: {},
  "a parameter given twice": { query: "?a=1&a=2" },
  "a path that cannot be decoded": { name: () => "%zz" },
  "a name that nothing has": { name: () => NOBODY },
  "no key": { ports: () => ({ callers: { ...ANYBODY, apiKeys: ["key"] } }) },
  "a key that may do nothing": ofKey([]),
  "a quota that is used up": ofKey(["admin"], { ...NO_QUOTAS, maxActive: 0 }),
  "a queue that is full": { ports: () => ({ maxQueued: 0 }) },
  "a signature that is none": {
    query: (route) => (/zip|artifacts\/\*/.test(route) ? "?expires=1&signature=x" : ""),
  },
  "another host": { headers: { host: "evil.example" } },
  "a page of another origin": { headers: { origin: "https://evil.example" } },
  "a bug": { ports: () => broken(new TypeError("a bug")) },
  "a store that is away": {
    ports: () => ({ store: brokenStore(away), runtimes: () => Promise.reject(away) }),
  },
  "a store that is full": { ports: fullStore },
  "a server that shuts down": { ports: () => ({ draining: AbortSignal.abort() }) },
  "no runtime": { ports: () => withRuntimes([]) },
  "another runtime": { ports: () => withRuntimes(["other"]) },
  "a lower ceiling": { ports: lowerCeiling },
  "no room for streams": {
    ports: () => ({ streams: new OpenStreams(0, new AbortController().signal) }),
    query: (route) => (route === "GET /jobs/:id" ? "?wait=1" : ""),
  },
  "a range beyond the end": { headers: { range: "bytes=99-" } },
  "a key that is none": { headers: { "idempotency-key": "a b" } },
  "a key of another job": { headers: { "idempotency-key": "used" } },
  "a body that is too large": { ports: () => ({ upload: { maxBytes: 1, maxFiles: 1 } }) },
  "a body of another type": { headers: { "content-type": "text/plain" }, body: () => "hello" },
  "a spec that is not valid": { body: () => shellJob({ nonsense: 1 }) },
  "a job that has not ended": { name: () => queuedId },
};

function pathOf(route: Route, name: string | undefined): string {
  return route
    .slice(route.indexOf(" ") + 1)
    .replace(":id", name ?? endedId)
    .replace(":file", name ?? "page.js")
    .replace("files/*", "files/main.sh")
    .replace("artifacts/*", "artifacts/out.txt");
}

/** The code that an operation answers with; null where it is no problem. */
async function answeredCode(route: Route, provocation: Provocation): Promise<ErrorCode | null> {
  const { ports, headers = {}, query = "", name, body = shellJob } = provocation;
  const api = parts.with({ ...keeping(), ...ports?.() });
  const [method = ""] = route.split(" ");
  const path = pathOf(route, name?.()) + (typeof query === "string" ? query : query(route));
  const response = await call(api, `${method} ${path}`, {
    headers: { ...headers },
    ...(route === "POST /jobs" && { body: body() }),
  });
  if (response.headers.get("content-type") !== "application/problem+json") {
    // An archive that is broken off complains of it.
    await response.body?.cancel().catch(() => undefined);
    return null;
  }
  const { code, status } = (await response.json()) as { code: ErrorCode; status: number };
  expect([code, response.status, status]).toEqual([code, statusOf(code), statusOf(code)]);
  return code;
}

function statusOf(code: ErrorCode): number {
  return errorStatuses().get(code) ?? 0;
}

describe("every operation answers with the errors of its row, and with no other", () => {
  for (const route of ROUTES)
    test(route, async () => {
      const answered = new Set<ErrorCode>();
      for (const [what, provocation] of Object.entries(PROVOCATIONS)) {
        const code = await answeredCode(route, provocation);
        if (code === null) continue;
        answered.add(code);
        expect([what, ERRORS[route]]).toEqual([what, expect.arrayContaining([code])]);
      }
      if (CANNOT_FAIL.includes(route)) answered.add("internal");
      expect([...answered].toSorted()).toEqual([...new Set<ErrorCode>(ERRORS[route])].toSorted());
    });
});

test("what nothing is wrong with is no error, whatever was provoked before", async () => {
  for (const route of ROUTES) expect([route, await answeredCode(route, {})]).toEqual([route, null]);
});

test("every code is an operation's, but for those that are the answer to none", () => {
  const codes = new Set(ROUTES.flatMap((route): readonly ErrorCode[] => ERRORS[route]));
  const others = [...errorStatuses().keys()].filter((code) => !codes.has(code));
  // The first is what a path says to a method that is not its own; the other is how a job ends, never an answer.
  expect(others).toEqual(["method_not_allowed", "sandbox_error"]);
});

test("the document shows each error at its status, with an example that has its code", () => {
  const examples = errorExamples();
  const { paths } = openApiDocument();
  const documented = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, operation]) => {
      const { responses } = operation as { responses: Record<string, ErrorAnswer> };
      return Object.entries(responses).flatMap(([status, { content = {} }]) =>
        Object.keys(content["application/problem+json"]?.examples ?? {}).map((code) => {
          expect(examples[code]?.value).toMatchObject({ code, status: Number(status) });
          return `${method.toUpperCase()} ${path} ${code}`;
        }),
      );
    }),
  );
  const expected = ROUTES.flatMap((route) => {
    const shown = route.replace(/:(\w+)/g, "{$1}").replace("*", "{filename}");
    return [...new Set<ErrorCode>(ERRORS[route])].map((code) => `${shown} ${code}`);
  });
  expect(documented.toSorted()).toEqual(expected.toSorted());
});

interface ErrorAnswer {
  readonly content?: Readonly<Record<string, { readonly examples?: object }>>;
}
