import type { TSchema } from "@sinclair/typebox";
import { type ValueError, ValueErrorType } from "@sinclair/typebox/compiler";

/** A sentence about what is wrong with one value, for whoever sent it. */
export function describeSchemaError(error: ValueError): string {
  const { schema, type, value } = error;
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    const field = preview(unescapePointer(error.path.slice(error.path.lastIndexOf("/") + 1)));
    // A record lists no properties: there the name itself has to fit a pattern.
    const [pattern] = Object.keys(patternsOf(schema));
    return pattern === undefined
      ? `Unknown field ${field}.`
      : `The name ${field} does not fit ${pattern}.`;
  }
  if (type === ValueErrorType.ObjectRequiredProperty) return "The field is required.";
  if (type === ValueErrorType.Union)
    return `Expected ${variantsOf(schema)}, got ${preview(value)}.`;
  if (type === ValueErrorType.StringPattern && schema.description !== undefined)
    return `Expected ${schema.description}, got ${preview(value)}.`;
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

/** Lists and objects by their kind alone: a client may nest them deeper than JSON.stringify has stack for. */
function preview(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  const isLong = value.length > PREVIEW_LENGTH;
  return isLong ? `${JSON.stringify(value.slice(0, PREVIEW_LENGTH))}...` : JSON.stringify(value);
}

/** A key as one token of a JSON pointer (RFC 6901). */
export function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

function unescapePointer(token: string): string {
  return token.replaceAll("~1", "/").replaceAll("~0", "~");
}
