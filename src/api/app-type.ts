import type { Static, TSchema } from "@sinclair/typebox";
import type { CreateEden, Elysia } from "elysia";

import type { ERRORS } from "./openapi-errors.ts";
import type { OPERATIONS } from "./openapi-operations.ts";
import type { SchemaName, SCHEMAS } from "./openapi-schemas.ts";
import type { StatusOf } from "./problem.ts";

/*
 * The type of this API, as Eden Treaty takes it (https://elysiajs.com/eden/treaty/overview). Our routes answer with a
 * Response, whose type says nothing of what is in it: so this is made of the API's description, which the tests hold against
 * real answers.
 */

type Operations = typeof OPERATIONS;

/** Not the stream, which breaks and is taken up again (client/follow-log.ts), and not the page for people. */
type Route = Exclude<
  keyof Operations,
  "GET /jobs/:id/logs/stream" | "GET /docs" | "GET /docs/:file"
>;

type Referred<Name extends SchemaName> = Static<(typeof SCHEMAS)[Name]>;

/** What a client gets of a body: JSON parsed, files as bytes, any other text as it is. */
type BodyOf<Content> = Content extends { "application/json": infer Json }
  ? Json extends { schema: { $ref: `#/components/schemas/${infer Name extends SchemaName}` } }
    ? Referred<Name>
    : unknown
  : Content extends { "application/octet-stream": object } | { "application/zip": object }
    ? ArrayBuffer
    : string;

type AnswersOf<Responses> = {
  [
    Status in keyof Responses as Status extends `${infer Code extends number}` ? Code : Status
  ]: Responses[Status] extends { content: infer Content } ? BodyOf<Content> : "";
};

type ProblemsOf<Each extends Route> = {
  [Status in StatusOf<(typeof ERRORS)[Each][number]>]: Referred<"Problem">;
};

interface CallOf<Each extends Route> {
  body: Operations[Each] extends { requestBody: { content: infer Content } }
    ? BodyOf<Content>
    : unknown;
  headers: unknown;
  params: object;
  query: Operations[Each] extends { query: infer Query extends TSchema } ? Static<Query> : unknown;
  response: AnswersOf<Operations[Each]["responses"]> & ProblemsOf<Each>;
}

/** Eden knows no wildcard; a file's path is a parameter to it. */
type PathFor<Path extends string> = Path extends `${infer Before}/*` ? `${Before}/:filename` : Path;

type TreeOf<Each extends Route> = Each extends `${infer Method} ${infer Path}`
  ? CreateEden<PathFor<Path>, { [Name in Lowercase<Method>]: CallOf<Each> }>
  : never;

type Intersection<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  each: infer All,
) => void
  ? All
  : never;

type Routes = Intersection<TreeOf<Route>>;

/** For `treaty<App>(url)`; client/client.ts is one that needs no further care. */
export type App = Elysia<
  "",
  Elysia["~Singleton"],
  Elysia["~Definitions"],
  Elysia["~Metadata"],
  Routes extends Record<string, unknown> ? Routes : never
>;
