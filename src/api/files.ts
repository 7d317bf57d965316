import type { Static } from "@sinclair/typebox";
import { makeZip } from "client-zip";
import { Elysia } from "elysia";

import type { FileStore } from "../files/file-store.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { Artifact } from "../jobs/outcome.ts";
import { attachmentHeaders, fileResponse, nameInPath, noFile } from "./download.ts";
import { findJob } from "./find-job.ts";
import { artifactView } from "./job-view.ts";
import type { RoutePorts } from "./ports.ts";
import { ArtifactsQuery, NoQuery, SignedQuery } from "./request-schemas.ts";

/** The components of a path before the name: jobs, the id, files or artifacts. */
const BEFORE_NAME = 3;

/** The files that went into a job, and those that its run left behind. */
export function fileRoutes(ports: RoutePorts) {
  const query = SignedQuery;
  return new Elysia({ name: "files" })
    .get("/jobs/:id/files/*", ({ params, request }) => sendInput(ports, params.id, request), {
      query: NoQuery,
    })
    .get("/jobs/:id/artifacts", (context) => listArtifacts(ports, context.params.id, context), {
      query: ArtifactsQuery,
    })
    .get("/jobs/:id/artifacts.zip", ({ params, request }) => sendZip(ports, params.id, request), {
      query,
    })
    .get(
      "/jobs/:id/artifacts/*",
      ({ params, request }) => sendArtifact(ports, params.id, request),
      { query },
    );
}

/** With URLs that need a key, or with `signed` those that need none for so long, that of the archive among them. */
async function listArtifacts(
  ports: RoutePorts,
  id: string,
  { query, request }: { readonly query: Static<typeof ArtifactsQuery>; readonly request: Request },
): Promise<Response> {
  const job = await findJob(ports, id, request);
  const items = artifactsOf(job).map((artifact) => artifactView(id, artifact));
  if (query.signed === undefined) return Response.json({ items });
  const validSec = Number(query.signed);
  const sign = (path: string) => ports.callers.signer.sign(path, validSec);
  return Response.json(
    {
      items: items.map((item) => ({ ...item, url: sign(item.url) })),
      zip_url: sign(`/jobs/${id}/artifacts.zip`),
    },
    { headers: { "Cache-Control": "no-store" } },
  );
}

function artifactsOf(job: JobRecord): readonly Artifact[] {
  return job.outcome?.artifacts ?? [];
}

async function sendInput(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  const job = await findJob(ports, id, request);
  const name = nameInPath(request, BEFORE_NAME);
  const file = job.files.find(({ path }) => path === name);
  if (file === undefined) throw noFile(`The job was sent without a file ${JSON.stringify(name)}.`);
  return await fileResponse(request, file, (range) => ports.files.readInputPart(id, file, range));
}

async function sendArtifact(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  const job = await findJob(ports, id, request);
  const name = nameInPath(request, BEFORE_NAME);
  const artifact = artifactsOf(job).find(({ path }) => path === name);
  if (artifact === undefined)
    throw noFile(
      job.outcome === null ? notEnded(job) : `The job has no artifact ${JSON.stringify(name)}.`,
    );
  return await fileResponse(request, artifact, (range) =>
    ports.files.readArtifact(id, artifact, range),
  );
}

/** All artifacts as one archive, made while it is sent: its length is not known before. */
async function sendZip(ports: RoutePorts, id: string, request: Request): Promise<Response> {
  const job = await findJob(ports, id, request);
  if (job.outcome === null) throw noFile(notEnded(job));
  return new Response(makeZip(zipEntries(ports.files, job)), {
    headers: {
      "Content-Type": "application/zip",
      ...attachmentHeaders(`${id}.zip`),
      "Cache-Control": "no-store",
    },
  });
}

/** One file after the other, each opened when it is its turn. */
async function* zipEntries(files: FileStore, job: JobRecord) {
  for (const artifact of artifactsOf(job)) {
    const { path, sizeBytes } = artifact;
    const blob = await files.readArtifact(job.id, artifact, { start: 0, end: sizeBytes });
    yield {
      name: path,
      size: sizeBytes,
      input: blob.stream(),
      lastModified: job.finishedAtMs ?? 0,
    };
  }
}

function notEnded(job: JobRecord): string {
  return `The job is ${job.status}; its artifacts can be read once it has ended.`;
}
