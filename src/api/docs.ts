import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { Elysia } from "elysia";

import { AppError } from "../errors.ts";
import { matchesEtag } from "./download.ts";

/*
 * GET /docs: the API's description as a page. All that it is made of comes from this server, so it works where there is no
 * internet, and none of it tells anything of this server: what it shows is /openapi.json, which its script asks for.
 */

interface StaticFile {
  readonly path: string;
  readonly mediaType: string;
}

const require = createRequire(import.meta.url);
const own = (name: string) => fileURLToPath(new URL(`../web/${name}`, import.meta.url));

const PAGE: StaticFile = { path: own("docs.html"), mediaType: "text/html" };

const FILES: ReadonlyMap<string, StaticFile> = new Map([
  ["page.js", { path: own("docs.js"), mediaType: "text/javascript" }],
  ["page.css", { path: own("docs.css"), mediaType: "text/css" }],
  [
    "swagger-ui-bundle.js",
    { path: require.resolve("swagger-ui-dist/swagger-ui-bundle.js"), mediaType: "text/javascript" },
  ],
  [
    "swagger-ui.css",
    { path: require.resolve("swagger-ui-dist/swagger-ui.css"), mediaType: "text/css" },
  ],
]);

const HEADERS = {
  // Asked for again each time, and answered with 304 until the service is another version.
  "Cache-Control": "no-cache",
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    // Swagger UI's icons are in its style sheet.
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "X-Content-Type-Options": "nosniff",
  // A page of another site does not even learn that there is this server.
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
};

interface LoadedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

/** The page, and the files that it is made of. */
export function docsRoutes() {
  const loaded = new Map<string, LoadedFile>();
  const send = async (request: Request, { path, mediaType }: StaticFile) => {
    const file = loaded.get(path) ?? (await load(path));
    loaded.set(path, file);
    const { bytes, etag } = file;
    const headers = { ...HEADERS, "Content-Type": `${mediaType}; charset=utf-8`, ETag: etag };
    return matchesEtag(request.headers.get("if-none-match"), etag)
      ? new Response(null, { status: 304, headers })
      : new Response(bytes, { headers });
  };
  return new Elysia({ name: "docs" })
    .get("/docs", ({ request }) => send(request, PAGE))
    .get("/docs/:file", ({ request, params }) => {
      const file = FILES.get(params.file);
      if (file === undefined)
        throw new AppError("not_found", `There is no file ${JSON.stringify(params.file)} here.`);
      return send(request, file);
    });
}

async function load(path: string): Promise<LoadedFile> {
  const bytes = new Uint8Array(await readFile(path));
  const hash = createHash("sha256").update(bytes).digest("base64url");
  return { bytes, etag: `"${hash}"` };
}
