import packageJson from "../../package.json" with { type: "json" };
import { EXAMPLE_ID } from "./openapi-examples.ts";
import { type Answer, OPERATIONS, ref } from "./openapi-operations.ts";
import { SCHEMAS } from "./openapi-schemas.ts";

/*
 * The API's description, OpenAPI 3.1. Its schemas are the ones that requests are checked with, or that the tests check
 * our answers against; a test compares its paths with the routes that the server really has.
 */

const PROBLEM: Answer = {
  description: "What was wrong; `code` is stable, `errors` point at fields.",
  content: {
    "application/problem+json": {
      schema: ref("Problem"),
      example: {
        type: "urn:job-runner:problem:not_found",
        title: "Not found",
        status: 404,
        detail: `There is no job "${EXAMPLE_ID}" (or no longer).`,
        instance: `/jobs/${EXAMPLE_ID}`,
        code: "not_found",
        errors: [],
        request_id: "8f9d3c0a-3a0e-4f4f-9a55-0d1f4a6a1b2c",
      },
    },
  },
};

/** The document that GET /openapi.json answers. */
export function openApiDocument() {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = "", path = ""] = route.split(" ");
    const template = path.replace(/:(\w+)/g, "{$1}").replace("*", "{filename}");
    const item = (paths[template] ??= {});
    item[method.toLowerCase()] = {
      ...operation,
      responses: { ...operation.responses, default: PROBLEM },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "job-runner",
      version: packageJson.version,
      description: packageJson.description,
      license: { name: "MIT", identifier: "MIT" },
    },
    paths,
    components: { schemas: SCHEMAS },
  };
}
