import { type Treaty, treaty } from "@elysiajs/eden";

import type { App } from "../api/app-type.ts";

export interface ClientOptions {
  /** Of a server that has keys. */
  readonly apiKey?: string;
}

/**
 * A typed client of the service at `url`, such as `http://127.0.0.1:8000`: Eden Treaty, with answers that are what their
 * types say. Each call resolves to `{data, error, status}`, of which `data` or `error` is null; `error.value` is the problem
 * (RFC 9457). It rejects where the server cannot be reached. A file's path is to be URI-encoded.
 *
 *     const client = createClient("http://127.0.0.1:8000");
 *     const { data: job, error } = await client.jobs({ id }).get({ query: { wait: "20" } });
 */
export function createClient(url: string, { apiKey }: ClientOptions = {}): Treaty.Create<App> {
  return treaty<App>(url, {
    ...(apiKey !== undefined && { headers: { Authorization: `Bearer ${apiKey}` } }),
    fetcher: fetchAsTyped as typeof fetch,
    // Else a label, or a name, that looks like a date would be one.
    parseDate: false,
  });
}

/**
 * Eden reads a body by its media type, and what is neither JSON nor bytes by its looks: a log of "42" would be a number, and
 * an image text. So each answer gets the media type by which Eden makes of it what it is.
 */
async function fetchAsTyped(...call: Parameters<typeof fetch>): Promise<Response> {
  const response = await fetch(...call);
  const [mediaType = ""] = (response.headers.get("content-type") ?? "").split(";");
  // Of what is for download: artifacts, uploaded files, archives.
  if (response.headers.has("content-disposition"))
    return retyped(response, response.body, "application/octet-stream");
  if (mediaType === "application/problem+json")
    return retyped(response, response.body, "application/json");
  if (mediaType.startsWith("text/") || mediaType === "application/x-ndjson")
    return retyped(response, JSON.stringify(await response.text()), "application/json");
  return response;
}

/** Statuses whose answers have no body (Fetch standard, "null body status"). */
const WITHOUT_BODY = new Set([204, 205, 304]);

function retyped(
  { status, headers: given }: Response,
  body: ReadableStream<Uint8Array> | string | null,
  mediaType: string,
): Response {
  const headers = new Headers(given);
  headers.set("content-type", mediaType);
  return new Response(WITHOUT_BODY.has(status) ? null : body, { status, headers });
}
