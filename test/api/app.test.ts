import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import type { Api } from "../../src/api/app.ts";
import { AppError } from "../../src/errors.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import { sandboxStatus } from "../support/sandbox-status.ts";
import { ANYBODY, call, openApi, shellJob } from "../support/api.ts";
import { overridden } from "../support/overridden.ts";

let parts: Awaited<ReturnType<typeof openApi>>;
let api: Api;

beforeAll(async () => {
  parts = await openApi();
  api = parts.api;
});

afterAll(() => parts.close());

const ID = "0b7e0b0e-5d6f-4c61-9a1e-6f2f8a1d3c55";

async function codeOf(response: Response): Promise<string> {
  const { code } = (await response.json()) as { readonly code: string };
  return `${response.status} ${code}`;
}

describe("a request id", () => {
  test("of the client is taken over where it is fit for a log, and is in the problem too", async () => {
    const headers = { "x-request-id": "trace-1.2:3_4" };
    const response = await call(api, "GET /nowhere", { headers });
    expect(response.headers.get("x-request-id")).toBe("trace-1.2:3_4");
    expect(await response.json()).toMatchObject({ request_id: "trace-1.2:3_4" });
  });

  test("is made where the client gave none, or an unfit one", async () => {
    for (const given of ["", "a b", "x".repeat(129)]) {
      const response = await call(api, "GET /livez", { headers: { "x-request-id": given } });
      expect(response.headers.get("x-request-id")).toMatch(/^[\da-f-]{36}$/);
    }
  });
});

describe("a failure of our own", () => {
  test("is a 500 for the client and the whole error for the operator", async () => {
    const bug = new TypeError("secret detail");
    const store = overridden(parts.workshop.store, { get: () => Promise.reject(bug) });
    const response = await call(parts.with({ store }), `GET /jobs/${ID}`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    const [line] = parts.logged.filter(({ event }) => event === "request_failed");
    const id = response.headers.get("x-request-id") ?? "";
    expect(line).toMatchObject({
      level: "error",
      message: `Request ${id} failed: secret detail`,
      request_id: id,
    });
    expect(line?.error).toStartWith("TypeError: secret detail\n");
    expect(line?.error).toContain("app.test.ts");
  });

  test("of the store is a 503 that says when to come back", async () => {
    const down = new AppError("store_unavailable", "The store does not answer.");
    const store = overridden(parts.workshop.store, {
      get: () => Promise.reject(down),
    });
    const broken = parts.with({ store });
    const response = await call(broken, `GET /jobs/${ID}/logs`);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await codeOf(response)).toBe("503 store_unavailable");
  });
});

describe("a submission", () => {
  const kept = async (id: string) => {
    const file = { path: "main.sh", role: "code", blob: "0", sizeBytes: 11, sha256: "" } as const;
    const chunks = await Array.fromAsync(parts.workshop.files.readInput(id, file)).catch(() => []);
    return chunks.length > 0;
  };

  /** Submits through a store that fails; tells what the client got and whether the job's files are still there. */
  async function submitFailing(error: AppError): Promise<readonly [answer: string, kept: boolean]> {
    let id = "";
    const store = overridden(parts.workshop.store, {
      submit: (job) => {
        id = job.id;
        return Promise.reject(error);
      },
    });
    const response = await call(parts.with({ store }), "POST /jobs", { body: shellJob() });
    return [await codeOf(response), await kept(id)];
  }

  test("is answered with the job and its place", async () => {
    const response = await call(api, "POST /jobs", { body: shellJob({ labels: { a: "1" } }) });
    expect(response.status).toBe(202);
    const job = (await response.json()) as { readonly id: string };
    expect(response.headers.get("location")).toBe(`/jobs/${job.id}`);
    expect(job).toMatchObject({ status: "queued", runtime: { name: "sh" }, attempt: 0 });
    expect(await (await call(api, `GET /jobs/${job.id}`)).json()).toEqual(job);
  });

  test("that the store has refused leaves no files", async () => {
    const full = new AppError("storage_full", "The disk is full.");
    expect(await submitFailing(full)).toEqual(["507 storage_full", false]);
  });

  test("that the store may have taken keeps its files", async () => {
    const unknown = new AppError("store_unavailable", "No answer.");
    expect(await submitFailing(unknown)).toEqual(["503 store_unavailable", true]);
  });

  test("is a 503 while the server shuts down, without a sandbox, and without a runtime", async () => {
    const sandbox = sandboxStatus({ ready: false, problems: ["No bwrap."] });
    const none = createRuntimeRegistry([], { strict: false });
    for (const [ports, code] of [
      [{ draining: AbortSignal.abort() }, "503 draining"],
      [{ sandbox: () => sandbox }, "503 sandbox_unavailable"],
      [{ runtimes: () => Promise.resolve(none) }, "503 sandbox_unavailable"],
    ] as const)
      expect(await codeOf(await call(parts.with(ports), "POST /jobs", { body: shellJob() }))).toBe(
        code,
      );
  });
});

test("what is absent is told with how to get it, once anything was found", async () => {
  const absentOf = async (of: Api) =>
    ((await (await call(of, "GET /runtimes")).json()) as { absent: unknown }).absent;
  const none = createRuntimeRegistry([], { strict: false });
  expect(await absentOf(api)).toContainEqual({ name: "lua", hint: "apt-get install lua5.4" });
  expect(await absentOf(parts.with({ runtimes: () => Promise.resolve(none) }))).toEqual([]);
});

describe("the probes", () => {
  test("tell whether the process does its work, and why not, and that it is alive either way", async () => {
    const ready = await call(api, "GET /readyz");
    expect([ready.status, await ready.json()]).toEqual([200, { status: "ready", reasons: [] }]);
    const reasons = ["The store does not answer."];
    const broken = parts.with({ reasonsNotReady: () => reasons });
    const not = await call(broken, "GET /readyz");
    expect([not.status, await not.json()]).toEqual([503, { status: "not_ready", reasons }]);
    expect((await call(broken, "GET /livez")).status).toBe(200);
  });
});

describe("a page of another origin", () => {
  const origin = "https://app.example.com";

  test("that is allowed may ask first, and may read every answer, problems too", async () => {
    const open = parts.with({
      callers: { ...ANYBODY, corsOrigins: [origin] },
    });
    const headers = { origin };
    const preflight = await call(open, "OPTIONS /jobs", { headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-methods")).toContain("POST");
    for (const route of ["GET /health", "GET /nowhere"]) {
      const response = await call(open, route, { headers });
      expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    }
  });

  test("that is not allowed gets no answer that it could read", async () => {
    const response = await call(api, "GET /health", { headers: { origin } });
    expect(response.headers.has("access-control-allow-origin")).toBe(false);
    expect(await codeOf(response)).toBe("403 forbidden_origin");
  });
});

test("a path may end with a slash, and an unknown one is told from a wrong method", async () => {
  expect((await call(api, "GET /jobs/")).status).toBe(200);
  expect(await codeOf(await call(api, "GET /job"))).toBe("404 not_found");
  const wrong = await call(api, "PUT /jobs");
  expect(wrong.headers.get("allow")).toBe("POST, GET, HEAD");
  expect(await codeOf(wrong)).toBe("405 method_not_allowed");
});
