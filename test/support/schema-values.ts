import fc from "fast-check";

/** The part of JSON Schema that our API description uses. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly minimum?: number;
}

/** Texts that parsers, paths and databases stumble over. */
const nasty = fc.constantFrom(
  "",
  " ",
  "\0",
  "..",
  "../../etc/passwd",
  "/",
  "a/b",
  "%00",
  "%",
  "é\u0301",
  "\ud800",
  "null",
  "-1",
  "1e999",
  "x".repeat(300),
  "__proto__",
  "constructor",
  "{}",
  "';--",
  "\r\nX: y",
);

export const anyText = fc.oneof(nasty, fc.string({ unit: "binary", maxLength: 20 }), fc.string());

const anyJson = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });

/** Values that mostly fit a schema of the document, and now and then do not. */
export function valuesOf(
  schema: JsonSchema,
  schemas: Readonly<Record<string, JsonSchema>>,
): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 9, arbitrary: fitting(schema, schemas) },
    { weight: 1, arbitrary: anyJson },
  );
}

function fitting(
  schema: JsonSchema,
  schemas: Readonly<Record<string, JsonSchema>>,
): fc.Arbitrary<unknown> {
  const { $ref, anyOf, items } = schema;
  if ($ref !== undefined) return fitting(schemas[$ref.split("/").at(-1) ?? ""] ?? {}, schemas);
  if (anyOf !== undefined) return fc.oneof(...anyOf.map((each) => fitting(each, schemas)));
  if ("const" in schema) return fc.constant(schema.const);
  switch (schema.type ?? "any") {
    case "string":
      return textsOf(schema);
    case "integer":
      return fc.oneof(fc.integer({ min: -2, max: 300 }), fc.maxSafeInteger());
    case "number":
      return fc.oneof(fc.double({ noNaN: true }), fc.integer({ min: -2, max: 100 }));
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(valuesOf(items ?? {}, schemas), { maxLength: 4 });
    case "object":
      return objectsOf(schema, schemas);
    default:
      return anyJson;
  }
}

function textsOf({ pattern }: JsonSchema): fc.Arbitrary<string> {
  if (pattern === undefined) return anyText;
  return fc.oneof({ weight: 3, arbitrary: fc.stringMatching(new RegExp(pattern)) }, anyText);
}

function objectsOf(
  { properties = {}, patternProperties = {}, required = [] }: JsonSchema,
  schemas: Readonly<Record<string, JsonSchema>>,
): fc.Arbitrary<unknown> {
  const members = Object.fromEntries(
    Object.entries(properties).map(([name, each]) => [name, valuesOf(each, schemas)]),
  );
  const requiredKeys = required.filter((name) => name in members);
  const known = fc.record(members, { requiredKeys });
  const [values = {}] = Object.values(patternProperties);
  const others = fc.dictionary(
    fc.oneof(anyText, fc.stringMatching(/^[a-z]{1,5}$/)),
    valuesOf(values, schemas),
    { maxKeys: 2 },
  );
  const isRecord = Object.keys(patternProperties).length > 0;
  const rarely = fc.oneof(
    { weight: 9, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: others },
  );
  return fc
    .tuple(known, isRecord ? others : rarely)
    .map(([first, more]) => ({ ...(first as object), ...more }));
}
