import { type Answer, HttpConnection } from "./http-connection.ts";

/*
 * A client as lean as a real one can be: one connection, one request to submit a job, one to follow its stream to the end.
 */

/** A job as it is sent. */
export interface Submission {
  readonly spec: object;
  /** Code files by path. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
}

/** A submission as it goes over the wire: made once, sent as often as wanted. */
export type SubmitRequest = Uint8Array;

/** What happened when, in ms from the moment in which the job was sent. */
export interface JobTimes {
  /** The first line that the program printed. */
  readonly firstByteMs: number;
  /** The event `end`. */
  readonly endMs: number;
}

const BOUNDARY = "end-of-part";

/** `headers`: more than there have to be, as lines. */
export function submitRequest(
  url: string,
  { spec, files }: Submission,
  headers: readonly string[] = [],
): SubmitRequest {
  const part = (fields: string, content: string | Uint8Array) => [
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; ${fields}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from("\r\n"),
  ];
  const body = Buffer.concat([
    ...part('name="spec"', JSON.stringify(spec)),
    ...Object.entries(files).flatMap(([path, content]) =>
      part(`name="code_files"; filename="${path}"`, content),
    ),
    Buffer.from(`--${BOUNDARY}--\r\n`),
  ]);
  const head = [
    "POST /jobs HTTP/1.1",
    `Host: ${new URL(url).host}`,
    `Content-Type: multipart/form-data; boundary=${BOUNDARY}`,
    `Content-Length: ${body.length}`,
    ...headers,
    "\r\n",
  ].join("\r\n");
  return Buffer.concat([Buffer.from(head), body]);
}

/** Submits a job; its id. Throws when it is not taken. */
export async function submitJob(
  connection: HttpConnection,
  request: SubmitRequest,
): Promise<string> {
  const answer = await connection.send(request);
  const { id } = JSON.parse(textOf(answer, 202)) as { id: string };
  return id;
}

/** Runs a job to its end. Throws unless it succeeds and prints exactly the line `expected`. */
export async function runJob(
  connection: HttpConnection,
  request: SubmitRequest,
  expected: string,
): Promise<JobTimes> {
  const startMs = performance.now();
  const id = await submitJob(connection, request);
  let text = "";
  let firstByteMs = Number.NaN;
  let endMs = Number.NaN;
  await connection.get(streamPath(id), {
    onBody(bytes) {
      text += bytes.toString("latin1");
      if (Number.isNaN(firstByteMs) && text.includes(`data: ${expected}\n\n`))
        firstByteMs = performance.now() - startMs;
      if (SUCCEEDED.test(text)) endMs = performance.now() - startMs;
    },
  });
  if (!SUCCEEDED.test(text) || printedLines(text).join("\n") !== expected)
    throw new Error(`The job ${id} did not print ${JSON.stringify(expected)}: ${text}`);
  return { firstByteMs, endMs };
}

export function streamPath(id: string): string {
  return `/jobs/${id}/logs/stream`;
}

/** The event `end` of a job that succeeded, whole. */
export const SUCCEEDED = /^event: end\n.*\ndata: \{"status":"succeeded".*\}\n\n/m;

/** What a job printed: its unnamed events, which are those that begin with their id. */
function printedLines(text: string): readonly string[] {
  return [...text.matchAll(/(?<=\n\n)id: .*\ndata: (.*)\n\n/g)].map((match) => match[1] ?? "");
}

/** The body of an answer. Throws where its status is another. */
function textOf({ status, body }: Answer, expectedStatus: number): string {
  if (status !== expectedStatus)
    throw new Error(`The server answered ${status}: ${body.toString()}`);
  return body.toString();
}

/** Opens as many connections as there are clients. */
export async function openConnections(
  url: string,
  count: number,
): Promise<readonly HttpConnection[]> {
  return await Promise.all(Array.from({ length: count }, () => HttpConnection.open(url)));
}

/** When a job began and ended, by the store's clock. Throws unless it has ended. */
export async function jobOf(
  connection: HttpConnection,
  id: string,
): Promise<{ readonly startedAtMs: number; readonly finishedAtMs: number }> {
  const text = textOf(await connection.get(`/jobs/${id}`), 200);
  const job = JSON.parse(text) as {
    readonly started_at: string | null;
    readonly finished_at: string | null;
  };
  if (job.started_at === null || job.finished_at === null)
    throw new Error(`The job ${id} has not ended: ${text}`);
  return { startedAtMs: Date.parse(job.started_at), finishedAtMs: Date.parse(job.finished_at) };
}
