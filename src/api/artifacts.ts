import { Elysia } from "elysia";

import { AppError } from "../errors.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { Artifact } from "../jobs/outcome.ts";
import { parseByteRange } from "./byte-range.ts";
import { artifactView } from "./job-view.ts";
import { findJob } from "./jobs.ts";
import { mediaTypeOf } from "./media-type.ts";
import type { ApiPorts } from "./ports.ts";

/** The files that a run left behind. */
export function artifactRoutes(ports: ApiPorts) {
  return new Elysia({ name: "artifacts" })
    .get("/jobs/:id/artifacts", async ({ params }) => {
      const job = await findJob(ports, params.id);
      const items = artifactsOf(job).map((artifact) => artifactView(job.id, artifact));
      return Response.json({ items });
    })
    .get("/jobs/:id/artifacts/*", ({ params, request }) => download(ports, params.id, request));
}

function artifactsOf(job: JobRecord): readonly Artifact[] {
  return job.outcome?.artifacts ?? [];
}

async function download(ports: ApiPorts, id: string, request: Request): Promise<Response> {
  const job = await findJob(ports, id);
  const name = artifactName(request);
  const artifact = artifactsOf(job).find(({ path }) => path === name);
  if (artifact === undefined)
    throw new AppError(
      "not_found",
      job.outcome === null
        ? `The job is ${job.status}; its artifacts can be read once it has ended.`
        : `The job has no artifact ${JSON.stringify(name)}.`,
    );
  const etag = `"${artifact.sha256}"`;
  const headers = downloadHeaders(artifact, etag);
  if (matchesEtag(request.headers.get("if-none-match"), etag))
    return new Response(null, { status: 304, headers });
  const condition = request.headers.get("if-range");
  const rangeHeader =
    condition === null || condition === etag ? request.headers.get("range") : null;
  const partial = parseByteRange(rangeHeader, artifact.sizeBytes);
  const range = partial ?? { start: 0, end: artifact.sizeBytes };
  headers["Content-Length"] = String(range.end - range.start);
  if (partial !== null)
    headers["Content-Range"] = `bytes ${range.start}-${range.end - 1}/${artifact.sizeBytes}`;
  const body = await ports.files.readArtifact(id, artifact, range);
  return new Response(body, { status: partial === null ? 200 : 206, headers });
}

/**
 * The name after `/artifacts/`, taken from the path as it was sent: a name is data, so each of its components is decoded
 * exactly once.
 */
function artifactName(request: Request): string {
  return new URL(request.url).pathname.split("/").slice(4).map(decodeURIComponent).join("/");
}

function matchesEtag(header: string | null, etag: string): boolean {
  if (header === null) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}

/** A program chose the content and the name: it is for download only, and never runs in this server's origin. */
function downloadHeaders(artifact: Artifact, etag: string): Record<string, string> {
  const base = artifact.path.slice(artifact.path.lastIndexOf("/") + 1);
  // RFC 6266: a plain fallback, and the real name in the extended form.
  const fallback = base.replace(/[^\w.-]/g, "_");
  const extended = encodeURIComponent(base).replace(/['()*]/g, escapeCharacter);
  return {
    "Content-Type": mediaTypeOf(artifact.path),
    "Content-Disposition": `attachment; filename="${fallback}"; filename*=UTF-8''${extended}`,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, max-age=0, must-revalidate",
    "Accept-Ranges": "bytes",
    ETag: etag,
  };
}

/** encodeURIComponent leaves these four alone, RFC 8187 does not. */
function escapeCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
