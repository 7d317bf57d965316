import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

/** What is wrong with a value by a schema of the description; empty when it fits. */
export type Misfits = (schema: object, value: unknown) => readonly string[];

/** The formats that the description uses. A time is always UTC, and has its milliseconds. */
const FORMATS = {
  uuid: /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  // Any bytes.
  binary: true,
} as const;

/**
 * A check of values against schemas of the API's description, by a JSON Schema validator which knows nothing but that: as a
 * client would be checked that was made from /openapi.json. `components` are the document's, to which the schemas refer.
 */
export function schemaCheck({ components }: { readonly components: object }): Misfits {
  const ajv = new Ajv2020({ allErrors: true, formats: FORMATS, strict: false });
  const compiled = new Map<object, ValidateFunction>();
  return (schema, value) => {
    const validate = compiled.get(schema) ?? ajv.compile({ ...schema, components });
    compiled.set(schema, validate);
    validate(value);
    return (validate.errors ?? []).map(
      ({ instancePath, message }) => `${instancePath}: ${message}`,
    );
  };
}
