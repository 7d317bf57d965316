import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { openApiDocument } from "../../src/api/openapi.ts";
import type { SchemaName } from "../../src/api/openapi-schemas.ts";
import { call, openApi } from "../support/api.ts";
import { runPython, submitPython, waitForEnd } from "../support/client.ts";
import { schemaCheck } from "../support/schema-check.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

/** What has a schema, and may have examples. */
interface Exemplified {
  readonly schema: object;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly $ref: string }>>;
}
type Content = Readonly<Record<string, Exemplified>>;

interface Operation {
  readonly parameters?: readonly (Exemplified & {
    readonly name: string;
    readonly required: boolean;
  })[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

// As it is sent: the document as JSON.
const document = JSON.parse(JSON.stringify(openApiDocument())) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly examples: Readonly<Record<string, { readonly value: unknown }>> };
};
const misfits = schemaCheck(document);

const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    route: `${method.toUpperCase()} ${path}`,
    operation,
  })),
);

function examplesOf({ example, examples = {} }: Exemplified): readonly unknown[] {
  const shared = Object.values(examples).map(({ $ref: reference }) => {
    const name = reference.replace("#/components/examples/", "");
    return document.components.examples[name]?.value;
  });
  return example === undefined ? shared : [example, ...shared];
}

/** Whatever has a schema in an operation, by where it stands. */
function exemplifiedIn({ parameters = [], requestBody, responses }: Operation) {
  const bodies: Operation["responses"] = { request: requestBody ?? {}, ...responses };
  return [
    ...parameters.map((each) => ({ ...each, place: each.name, isNeeded: each.required })),
    ...Object.entries(bodies).flatMap(([status, { content = {} }]) =>
      Object.entries(content).map(([mediaType, each]) => ({
        ...each,
        place: `${status} ${mediaType}`,
        // An archive has no text that could be shown.
        isNeeded: mediaType !== "application/zip",
      })),
    ),
  ];
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

describe("every parameter that is needed, every body and every error has an example, which fits its schema", () => {
  for (const { route, operation } of operations)
    test(route, () => {
      const all = exemplifiedIn(operation);
      // The errors, if nothing else.
      expect(all).not.toEqual([]);
      for (const { place, isNeeded, ...each } of all) {
        const examples = examplesOf(each);
        if (isNeeded) expect([place, examples.length > 0]).toEqual([place, true]);
        for (const example of examples)
          expect([place, misfits(each.schema, example)]).toEqual([place, []]);
      }
    });

  test("a value that does not fit is noticed", () => {
    const problem = { $ref: "#/components/schemas/Problem" };
    const [example] = Object.values(document.components.examples);
    expect(misfits(problem, example?.value)).toEqual([]);
    expect(misfits(problem, { ...(example?.value as object), status: "422" })).toEqual([
      "/status: must be integer",
    ]);
    expect(misfits({ type: "string", format: "uuid" }, "x")).not.toEqual([]);
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

  const schemaOf = (name: SchemaName) => ({ $ref: `#/components/schemas/${name}` });

  async function expectFit(name: SchemaName, path: string, init: RequestInit = {}): Promise<void> {
    const response = await fetch(`${service.url}${path}`, init);
    expect(misfits(schemaOf(name), await response.json())).toEqual([]);
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
    expect(misfits(schemaOf("Job"), submitted)).toEqual([]);
    await expectFit("Job", `/jobs/${submitted.id}/cancel`, { method: "POST" });
    expect((await waitForEnd(service.url, submitted.id)).status).toBe("cancelled");
    await expectFit("Job", `/jobs/${submitted.id}`);
  });
});
