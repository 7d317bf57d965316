import type { TSchema } from "@sinclair/typebox";
import { type ValueError, ValueErrorType } from "@sinclair/typebox/compiler";

/** A sentence about what is wrong with one value, for whoever sent it. */
export function describeSchemaError(error: ValueError): string {
  const { schema, type, value } = error;
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    const field = JSON.stringify(error.path.slice(error.path.lastIndexOf("/") + 1));
    // A record lists no properties: there the name itself has to fit a pattern.
    const [pattern] = Object.keys(patternsOf(schema));
    return pattern === undefined
      ? `Unknown field ${field}.`
      : `The name ${field} does not fit ${pattern}.`;
  }
  if (type === ValueErrorType.ObjectRequiredProperty) return "The field is required.";
  if (type === ValueErrorType.Union)
    return `Expected ${variantsOf(schema)}, got ${preview(value)}.`;
  return `${error.message}, got ${preview(value)}.`;
}

function patternsOf(schema: TSchema): object {
  const patterns: unknown = schema["patternProperties"];
  return typeof patterns === "object" && patterns !== null ? patterns : {};
}

function variantsOf(schema: TSchema): string {
  const variants: readonly TSchema[] = Array.isArray(schema["anyOf"]) ? schema["anyOf"] : [];
  return variants
    .map((variant) =>
      "const" in variant
        ? JSON.stringify(variant["const"])
        : (variant.title ?? String(variant["type"])),
    )
    .join(" or ");
}

const PREVIEW_LENGTH = 100;

function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > PREVIEW_LENGTH ? `${text.slice(0, PREVIEW_LENGTH)}...` : text;
}
