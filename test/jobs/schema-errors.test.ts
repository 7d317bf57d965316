import { type TSchema, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { expect, test } from "bun:test";

import { describeSchemaError, escapePointer } from "../../src/jobs/schema-errors.ts";

/** The sentence about the first thing that is wrong. */
function sentence(schema: TSchema, value: unknown): string {
  const [error] = Value.Errors(schema, value);
  if (error === undefined) throw new Error("The value fits the schema");
  return describeSchemaError(error);
}

const closed = { additionalProperties: false };
const level = Type.Union([Type.Literal("low"), Type.Literal(2), Type.Object({}, { title: "{}" })]);
const named = Type.Record(Type.String({ pattern: "^[a-z]+$" }), Type.String(), closed);

const SENTENCES: readonly (readonly [schema: TSchema, value: unknown, sentence: string])[] = [
  [Type.String(), 1, "Expected string, got 1."],
  [Type.String(), null, "Expected string, got null."],
  [Type.String(), [1, 2], "Expected string, got a list of 2."],
  [Type.String(), { a: 1 }, "Expected string, got an object."],
  [Type.Number(), "1", 'Expected number, got "1".'],
  [Type.Number(), Infinity, "Expected number, got Infinity."],
  [Type.Integer(), 1.5, "Expected integer, got 1.5."],
  [level, "mid", 'Expected "low" or 2 or {}, got "mid".'],
  [Type.Object({ a: Type.String() }), {}, "The field is required."],
  [Type.Object({}, closed), { "x/~y": 1 }, 'Unknown field "x/~y".'],
  [named, { "a/b": "" }, 'The name "a/b" does not fit ^[a-z]+$.'],
  [Type.String({ pattern: "^\\d+$", description: "a number" }), "x", 'Expected a number, got "x".'],
  [Type.Number(), "x".repeat(101), `Expected number, got "${"x".repeat(100)}"....`],
];

for (const [schema, value, expected] of SENTENCES)
  test(expected, () => {
    expect(sentence(schema, value)).toBe(expected);
  });

test("a value nested deeper than the stack is described all the same", () => {
  let deep: unknown[] = [];
  for (let depth = 0; depth < 200_000; depth++) deep = [deep];
  expect(sentence(Type.String(), deep)).toBe("Expected string, got a list of 1.");
});

test("a key becomes one token of a pointer (RFC 6901)", () => {
  expect(escapePointer("a/b~c~1")).toBe("a~1b~0c~01");
});
