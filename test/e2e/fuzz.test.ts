import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";

import { runPython } from "../support/client.ts";
import { type Misfits, schemaCheck } from "../support/schema-check.ts";
import { anyText, type JsonSchema, valuesOf } from "../support/schema-values.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

/*
 * Requests made from the API's own description, most of them nearly right: no answer is a failure of ours, has a status that
 * the description does not know, or a body that breaks its schema. `bun run fuzz` sends 10,000.
 */

const REQUESTS = Number(process.env["FUZZ_REQUESTS"] ?? 300);
/** The same requests each time in the whole suite; new ones each time that somebody looks for what there is to find. */
const SEED = process.env["FUZZ_REQUESTS"] === undefined ? { seed: 20_783 } : {};
const MS_PER_REQUEST = 100;

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly schema: JsonSchema;
}
interface Content {
  readonly schema?: JsonSchema;
}
interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, Content>> }>
  >;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

/** A request, and what the description says of it. */
interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body:
    string | readonly (readonly [name: string, text: string, filename: string | null])[] | null;
  readonly operation: Operation;
}

let service: RunningService;
let document: Document;
let misfits: Misfits;
let jobId: string;
beforeAll(async () => {
  service = await startService({ env: { MAX_TIMEOUT_SEC: "5", DEFAULT_TIMEOUT_SEC: "1" } });
  document = (await (await fetch(`${service.url}/openapi.json`)).json()) as Document;
  misfits = schemaCheck(document);
  ({ id: jobId } = (await runPython(service.url, "open('a', 'w').write('x'); print(1)")).job);
}, 30_000);
afterAll(async () => {
  await service.stop();
  await removeDataDir(service.dataDir);
});

/** These make a path another one before it is sent (WHATWG URL, section 4.4). */
const someText = anyText.filter((text) => !["", ".", ".."].includes(text));

/** Stands for the job that was taken last. */
const LATEST = "latest-job";
let latestId = LATEST;

/** Of a header only what an HTTP client lets through. */
const headerText = (text: string) => text.replace(/[^\x20-\x7e]/g, "").trim();

function callsOf(): fc.Arbitrary<Call> {
  const each = Object.entries(document.paths).flatMap(([template, item]) =>
    Object.entries(item).map(([method, operation]) => ({ template, method, operation })),
  );
  return fc.oneof(...each.map(callsTo));
}

function callsTo(route: {
  readonly template: string;
  readonly method: string;
  readonly operation: Operation;
}): fc.Arbitrary<Call> {
  const { template, method, operation } = route;
  const { parameters = [], requestBody } = operation;
  const { schemas } = document.components;
  const of = (place: Parameter["in"]) => parameters.filter((each) => each.in === place);
  const texts = (place: Parameter["in"]) =>
    fc.record(
      Object.fromEntries(
        of(place).map(({ name, schema }) => [name, valuesOf(schema, schemas).map(textOf)]),
      ),
      { requiredKeys: [] },
    );
  return fc
    .record({
      // One that stays, and one that is removed now and then.
      id: fc.oneof(
        { weight: 4, arbitrary: fc.constant(method === "delete" ? LATEST : jobId) },
        fc.uuid(),
        someText,
      ),
      filename: fc.oneof(fc.constantFrom("a", "main.py"), someText),
      file: fc.oneof(fc.constantFrom("page.js", "page.css"), someText),
      query: texts("query"),
      headers: texts("header"),
      body: requestBody === undefined ? fc.constant(null) : bodiesOf(requestBody.content),
    })
    .map(({ id, filename, file, query, headers, body }) => ({
      method: method.toUpperCase(),
      path: pathOf(template, { id, filename, file }, query as Record<string, string>),
      headers: {
        ...Object.fromEntries(
          Object.entries(headers as Record<string, string>).map(([name, text]) => [
            name,
            headerText(text),
          ]),
        ),
        ...(typeof body === "string" && { "Content-Type": "application/json" }),
      },
      body,
      operation,
    }));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function pathOf(
  template: string,
  names: Readonly<Record<string, string>>,
  query: Readonly<Record<string, string>>,
): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent((names[name] ?? "").toWellFormed()),
  );
  const pairs = Object.entries(query).map(
    ([name, text]) => `${name}=${encodeURIComponent(text.toWellFormed())}`,
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
}

function bodiesOf(content: Readonly<Record<string, Content>>): fc.Arbitrary<Call["body"]> {
  const { schemas } = document.components;
  const json = valuesOf(content["application/json"]?.schema ?? {}, schemas).map((value) =>
    JSON.stringify(value),
  );
  const part = fc.tuple(
    fc.oneof(fc.constantFrom("spec", "code_files", "input_files"), anyText),
    fc.oneof(
      anyText,
      valuesOf(schemas["JobSpec"] ?? {}, schemas).map((value) => JSON.stringify(value)),
    ),
    fc.option(fc.oneof(fc.constantFrom("main.py", "main.sh"), anyText), { nil: null }),
  );
  // Now and then a job that is right.
  const right = fc.constant([
    ["spec", '{"entry":"main.sh"}', null],
    ["code_files", "echo fuzz\n", "main.sh"],
  ] as const);
  return fc.oneof(json, fc.array(part, { maxLength: 4 }), right, anyText);
}

async function send({ method, path: made, headers, body }: Call): Promise<Response> {
  const path = made.replace(LATEST, latestId);
  const init = { method, headers, redirect: "manual" as const };
  if (body === null || typeof body === "string")
    return await fetch(service.url + path, {
      ...init,
      ...(body !== null && { body: body.toWellFormed() }),
    });
  const form = new FormData();
  for (const [name, text, filename] of body)
    if (filename === null) form.append(name.toWellFormed(), text.toWellFormed());
    else form.append(name.toWellFormed(), new Blob([text]), filename.toWellFormed());
  return await fetch(service.url + path, { ...init, body: form });
}

/** What is wrong with an answer; null when nothing is. */
async function faultOf(call: Call, response: Response): Promise<string | null> {
  const { status } = response;
  const type = (response.headers.get("content-type") ?? "").split(";")[0] ?? "";
  const known = call.operation.responses[String(status)];
  const text = await response.text();
  if (status === 202) latestId = (JSON.parse(text) as { readonly id: string }).id;
  if (status >= 500) return `${status}: ${text}`;
  if (known === undefined) return `the status ${status} is not described: ${text}`;
  const described = known.content ?? {};
  if (text === "") return null;
  const schema = described[type]?.schema;
  if (schema === undefined) return `${status} is not described as ${type}`;
  const value: unknown = /[/+]json$/.test(type) ? JSON.parse(text) : text;
  const [misfit] = misfits(schema, value);
  return misfit === undefined ? null : `${status} ${misfit}: ${text}`;
}

test(
  `${REQUESTS} requests that are made from the description are answered as it says`,
  async () => {
    const seen = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(callsOf(), async (call) => {
        const response = await send(call);
        seen.set(response.status, (seen.get(response.status) ?? 0) + 1);
        expect(await faultOf(call, response)).toBeNull();
      }),
      { numRuns: REQUESTS, ...SEED },
    );
    // Requests of which all were refused would prove little.
    for (const status of [200, 202, 404, 422]) expect(seen.get(status) ?? 0).toBeGreaterThan(0);
    console.log(`Answers by status: ${JSON.stringify(Object.fromEntries(seen))}`);
    expect((await fetch(`${service.url}/readyz`)).status).toBe(200);
  },
  REQUESTS * MS_PER_REQUEST,
);
