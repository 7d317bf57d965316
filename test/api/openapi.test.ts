import { Validator } from "@seriousme/openapi-schema-validator";
import { FormatRegistry } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { openApiDocument } from "../../src/api/openapi.ts";
import { SCHEMAS, type SchemaName } from "../../src/api/openapi-schemas.ts";
import { call, openApi } from "../support/api.ts";
import { runPython, submitPython, waitForEnd } from "../support/client.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

// TypeBox knows no format by itself, and refuses what it does not know.
FormatRegistry.Set("uuid", (text) => /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(text));
FormatRegistry.Set("date-time", (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text));

interface Content {
  readonly schema?: { readonly $ref?: string };
  readonly example?: unknown;
}

interface Operation {
  readonly summary: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, Content>> }>
  >;
}

// As it is sent: the document as JSON.
const document = JSON.parse(JSON.stringify(openApiDocument())) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    route: `${method.toUpperCase()} ${path}`,
    operation,
  })),
);

/** What is wrong with a value; empty when it fits. */
function misfits(name: SchemaName, value: unknown): readonly string[] {
  return [...Value.Errors(SCHEMAS[name], value)].map(({ path, message }) => `${path}: ${message}`);
}

test("the document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const result = await validator.validate(structuredClone(document));
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
  expect(validator.version).toBe("3.1");
});

test("the document describes the routes that there are, and no others", async () => {
  const { api, close } = await openApi();
  const routes = api.routes.map((route) =>
    route.replace(/:(\w+)/g, "{$1}").replace("*", "{filename}"),
  );
  expect(operations.map(({ route }) => route).toSorted()).toEqual(routes.toSorted());
  const served = await call(api, "GET /openapi.json");
  expect(await served.json()).toEqual(document);
  await close();
});

describe("every example fits its schema", () => {
  const examples = operations.flatMap(({ route, operation }) =>
    Object.entries(operation.responses).flatMap(([status, { content = {} }]) =>
      Object.values(content).map((each) => ({ route, status, ...each })),
    ),
  );

  for (const { route, status, schema, example } of examples) {
    const name = schema?.$ref?.replace("#/components/schemas/", "");
    if (name === undefined) continue;
    test(`${route}, ${status}: ${name}`, () => {
      expect(misfits(name as SchemaName, example)).toEqual([]);
    });
  }

  test("of a submission: JobSpec", () => {
    const body = document.paths["/jobs"]?.["post"]?.requestBody?.content["multipart/form-data"];
    const example = body?.example as { readonly spec: unknown };
    expect(misfits("JobSpec", example.spec)).toEqual([]);
    const inline = document.paths["/jobs"]?.["post"]?.requestBody?.content["application/json"];
    expect(misfits("InlineJob", inline?.example)).toEqual([]);
  });

  test("and every operation has one, or answers without a body", () => {
    const without = operations.filter(({ operation }) => {
      const answers = Object.entries(operation.responses).filter(([status]) =>
        status.startsWith("2"),
      );
      return !answers.some(([, { content }]) =>
        Object.values(content ?? {}).some(({ example }) => example !== undefined),
      );
    });
    // What is gone has no body, an archive is bytes, and the description is its own example.
    expect(without.map(({ route }) => route)).toEqual([
      "DELETE /jobs/{id}",
      "GET /jobs/{id}/artifacts.zip",
      "GET /openapi.json",
    ]);
  });
});

describe("real answers fit their schemas", () => {
  let service: RunningService;

  beforeAll(async () => {
    service = await startService();
  }, 30_000);

  afterAll(async () => {
    await service.stop();
    await removeDataDir(service.dataDir);
  });

  async function expectFit(name: SchemaName, path: string, init: RequestInit = {}): Promise<void> {
    const response = await fetch(`${service.url}${path}`, init);
    expect(misfits(name, await response.json())).toEqual([]);
  }

  for (const [path, name] of [
    ["/health", "Health"],
    ["/stats", "Stats"],
    ["/livez", "Liveness"],
    ["/readyz", "Readiness"],
    ["/runtimes", "Runtimes"],
    ["/nowhere", "Problem"],
    ["/jobs?limit=x&page=1", "Problem"],
  ] as const)
    test(`GET ${path}: ${name}`, () => expectFit(name, path));

  for (const [how, source, spec] of [
    ["succeeded, with an artifact", "open('a.txt', 'w').write('x')", {}],
    ["failed", "raise SystemExit(3)", {}],
    ["ended by a signal", "import os; os.kill(os.getpid(), 11)", {}],
    ["timed out", "while True: pass", { timeout_sec: 0.2 }],
    ["ran on another minor version", "print(1)", { runtime: "python3.1" }],
  ] as const)
    test(`a job that ${how}`, async () => {
      const { job } = await runPython(service.url, source, { ...spec, labels: { kind: how } });
      await expectFit("Job", `/jobs/${job.id}`);
      await expectFit("ArtifactList", `/jobs/${job.id}/artifacts`);
      await expectFit("JobList", "/jobs?limit=200");
      const again = { method: "POST", headers: { Prefer: "wait=20" } };
      await expectFit("EndedJob", `/jobs/${job.id}/rerun`, again);
    });

  test("a job that is cancelled, at every moment", async () => {
    const submitted = await submitPython(
      service.url,
      "import time\nprint('up', flush=True)\ntime.sleep(60)",
    );
    expect(misfits("Job", submitted)).toEqual([]);
    await expectFit("Job", `/jobs/${submitted.id}/cancel`, { method: "POST" });
    expect((await waitForEnd(service.url, submitted.id)).status).toBe("cancelled");
    await expectFit("Job", `/jobs/${submitted.id}`);
  });
});
