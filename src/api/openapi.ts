import type { TObject } from "@sinclair/typebox";

import packageJson from "../../package.json" with { type: "json" };
import { ERRORS, errorAnswers, errorExamples } from "./openapi-errors.ts";
import { OPERATIONS } from "./openapi-operations.ts";
import type { Operation } from "./openapi-parts.ts";
import { SCHEMAS } from "./openapi-schemas.ts";

/*
 * The API's description, OpenAPI 3.1. Its schemas are the ones that requests are checked with, or that the tests check
 * our answers against; a test compares its paths with the routes that the server really has.
 */

const DESCRIPTION = `${packageJson.description}.

Every error is an \`application/problem+json\` (RFC 9457) with a stable \`code\`. Beyond those that the operations have, a
path that is not here is answered with 404 (\`not_found\`), and a method that a path does not have with 405
(\`method_not_allowed\`) and \`Allow\`. What can be read with GET can be asked about with HEAD.`;

/** A server without keys asks for none, hence the empty one. */
const SECURITY = [{}, { bearer: [] }, { apiKey: [] }];

/** The document that GET /openapi.json answers. */
export function openApiDocument() {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS) as [Route, Operation][]) {
    const [method = "", path = ""] = route.split(" ");
    const template = path.replace(/:(\w+)/g, "{$1}").replace("*", "{filename}");
    const item = (paths[template] ??= {});
    item[method.toLowerCase()] = operationObject(route, operation);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "job-runner",
      version: packageJson.version,
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    security: SECURITY,
    paths,
    components: {
      schemas: SCHEMAS,
      examples: errorExamples(),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
      },
    },
  };
}

type Route = keyof typeof OPERATIONS;

function operationObject(route: Route, { query, parameters = [], ...operation }: Operation) {
  const all = [...parameters, ...(query === undefined ? [] : queryParameters(query))];
  const isOpen = !(ERRORS[route] as readonly string[]).includes("unauthorized");
  return {
    tags: [tagOf(route)],
    ...operation,
    ...(all.length > 0 && { parameters: all }),
    ...(isOpen && { security: [] }),
    responses: { ...operation.responses, ...errorAnswers(route) },
  };
}

function queryParameters(schema: TObject): readonly object[] {
  return Object.entries(schema.properties).map(([name, property]) => ({
    name,
    in: "query",
    required: false,
    schema: property,
  }));
}

/** What a page shows together. */
function tagOf(route: Route): string {
  if (/\/(files|artifacts)/.test(route)) return "Files";
  if (route.includes("/logs")) return "Logs";
  return route.includes("/jobs") ? "Jobs" : "Server";
}
