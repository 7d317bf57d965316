import { once } from "node:events";
import type { Readable } from "node:stream";

import busboy, { type Busboy } from "busboy";

import { AppError, messageOf } from "../errors.ts";
import type { Upload } from "../files/file-store.ts";
import type { InputFile } from "../jobs/job.ts";
import { MIB } from "../jobs/limits.ts";
import { checkRelativePath, findPathConflict } from "../jobs/paths.ts";
import { escapePointer } from "../jobs/schema-errors.ts";

/*
 * The body of POST /jobs, read as a stream: files go to the disk as they come, in constant memory, with the socket's own
 * back-pressure. The `spec` is text here, whatever it looks like (a framework's form parser turns a field that looks
 * like JSON into an object).
 */

const MAX_SPEC_BYTES = 4 * MIB;
/** A body whose announced length is no more is read as a whole. */
const SMALL_BODY_BYTES = 32 * 1024;
/** `spec` is the only field there is; one more is read, so that it can be complained of. */
const MAX_FIELDS = 2;

const UNKNOWN_FIELD = "Unknown field; a job is sent as spec, code_files and input_files.";

const ROLES: ReadonlyMap<string, InputFile["role"]> = new Map([
  ["code_files", "code"],
  ["input_files", "input"],
]);

export interface UploadLimits {
  /** Of the whole body. */
  readonly maxBytes: number;
  readonly maxFiles: number;
}

export interface UploadedJob {
  /** The text of the `spec` part; undefined when there was none. */
  readonly spec: string | undefined;
  readonly files: readonly InputFile[];
}

/**
 * Reads a multipart body into `upload`, which the caller discards when this throws.
 * @throws AppError `bad_request` for a body that cannot be parsed, `payload_too_large`, `unsupported_media_type`,
 * `invalid_spec` with a pointer to the part that is not welcome, or what `upload.add` throws.
 */
export async function receiveUpload(
  request: Request,
  upload: Upload,
  limits: UploadLimits,
): Promise<UploadedJob> {
  const announcedBytes = Number(request.headers.get("content-length") ?? 0);
  if (announcedBytes > limits.maxBytes) throw tooLarge(limits);
  const parser = createParser(request, limits);
  const intake = new Intake(parser, upload, limits);
  const stopped = new AbortController();
  try {
    const fed = feed(parser, request, limits, stopped.signal);
    await Promise.race([Promise.all([fed, intake.closed]), intake.failed]);
    return await Promise.race([intake.finish(), intake.failed]);
  } catch (error) {
    stopped.abort();
    parser.destroy();
    await intake.settled();
    throw error;
  }
}

function createParser(request: Request, limits: UploadLimits): Busboy {
  const contentType = request.headers.get("content-type") ?? "";
  if (!/^multipart\/form-data\b/i.test(contentType))
    throw new AppError(
      "unsupported_media_type",
      `A job is sent as multipart/form-data or application/json, not ${contentType === "" ? "without a Content-Type" : `as ${JSON.stringify(contentType)}`}.`,
      {
        fields: [
          {
            pointer: "",
            detail:
              'Send the fields spec, code_files and input_files, as in: curl -F spec=\'{"entry":"main.py"}\' -F code_files=@main.py',
          },
        ],
      },
    );
  try {
    return busboy({
      headers: { "content-type": contentType },
      preservePath: true,
      defParamCharset: "utf8",
      limits: {
        fields: MAX_FIELDS,
        fieldSize: MAX_SPEC_BYTES,
        // One more than allowed, so that one too many is seen; and one for a spec that is sent as a file.
        files: limits.maxFiles + 2,
        headerPairs: 32,
      },
    });
  } catch (error) {
    throw malformed(messageOf(error));
  }
}

/** Writes the body into the parser, no faster than it is taken. Resolves when all of it was taken, or on `signal`. */
async function feed(
  parser: Busboy,
  request: Request,
  limits: UploadLimits,
  signal: AbortSignal,
): Promise<void> {
  if (request.body === null) throw malformed("it is empty");
  const announcedBytes = Number(request.headers.get("content-length") ?? Number.POSITIVE_INFINITY);
  if (announcedBytes <= SMALL_BODY_BYTES) {
    // A stream of one chunk costs more than all that is done with the chunk.
    parser.end(await wholeBody(request));
    return;
  }
  const body: ReadableStream<Uint8Array> = request.body;
  const reader = body.getReader();
  let receivedBytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) break;
      receivedBytes += value.length;
      if (receivedBytes > limits.maxBytes) throw tooLarge(limits);
      if (!parser.write(value)) await once(parser, "drain", { signal });
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof AppError ? error : malformed(messageOf(error));
  } finally {
    reader.releaseLock();
  }
  if (!signal.aborted) parser.end();
}

async function wholeBody(request: Request): Promise<Uint8Array> {
  try {
    return await request.bytes();
  } catch (error) {
    throw malformed(messageOf(error));
  }
}

/** Takes the parts in the order in which they come, and holds on to the first thing that is wrong with one. */
class Intake {
  /** Resolves when the parser has handed over every part. */
  readonly closed: Promise<void>;
  /** Rejects with the first thing that goes wrong; never resolves. */
  readonly failed: Promise<never>;
  readonly #upload: Upload;
  readonly #limits: UploadLimits;
  readonly #files: Promise<InputFile>[] = [];
  readonly #otherReads: Promise<void>[] = [];
  #spec: string | undefined;

  constructor(parser: Busboy, upload: Upload, limits: UploadLimits) {
    this.#upload = upload;
    this.#limits = limits;
    const closed = Promise.withResolvers<void>();
    const failed = Promise.withResolvers<never>();
    this.closed = closed.promise;
    this.failed = failed.promise;
    // Looked at only while a race is on; a failure after that is nobody's any more.
    this.failed.catch(() => undefined);
    const attempt = (step: () => Promise<unknown> | void) => {
      try {
        step()?.catch(failed.reject);
      } catch (error) {
        failed.reject(error);
      }
    };
    // A part without a name, or an empty one, has none, whatever the types say.
    parser.on("file", (name: string | undefined, stream, info) => {
      // A parser that is destroyed destroys the file under way, whether or not anybody reads it.
      stream.on("error", () => undefined);
      attempt(() => this.#takeFile(name ?? "", stream, info.filename));
    });
    parser.on("field", (name: string | undefined, value, info) =>
      attempt(() => this.#takeField(name ?? "", value, info.valueTruncated)),
    );
    parser.on("error", (error) => failed.reject(malformed(messageOf(error))));
    parser.on("close", closed.resolve);
  }

  async finish(): Promise<UploadedJob> {
    await Promise.all(this.#otherReads);
    const files = await Promise.all(this.#files);
    const conflict = findPathConflict(files.map(({ path }) => path));
    if (conflict !== null) {
      const last = files.findLast(({ path }) => path === conflict.path);
      throw unwelcome(last?.role === "input" ? "input_files" : "code_files", conflict.problem);
    }
    return { files, spec: this.#spec };
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#files, ...this.#otherReads]);
  }

  #takeField(name: string, value: string, isTruncated: boolean): void {
    if (name !== "spec")
      throw unwelcome(
        name,
        ROLES.has(name)
          ? "The part is a file and needs a filename; with curl, mind the @: -F code_files=@main.py."
          : UNKNOWN_FIELD,
      );
    if (this.#spec !== undefined) throw unwelcome("spec", "The field is given twice.");
    if (isTruncated) throw unwelcome("spec", `The field is longer than ${MAX_SPEC_BYTES} bytes.`);
    this.#spec = value;
  }

  #takeFile(name: string, stream: Readable, filename: string | undefined): Promise<unknown> {
    if (name === "spec") {
      const read = readText(stream).then((text) => this.#takeField("spec", text, false));
      this.#otherReads.push(read);
      return read;
    }
    const role = ROLES.get(name);
    if (role === undefined) throw unwelcome(name, UNKNOWN_FIELD);
    if (filename === undefined) throw unwelcome(name, "The file has no name.");
    const checked = checkRelativePath(filename);
    if (!checked.ok) throw unwelcome(name, checked.problem);
    if (this.#files.length === this.#limits.maxFiles)
      throw unwelcome(name, `A job may have at most ${this.#limits.maxFiles} files.`);
    const added = this.#upload.add({ path: checked.path, role, bytes: stream });
    this.#files.push(added);
    return added;
  }
}

async function readText(stream: Readable): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_SPEC_BYTES)
      throw unwelcome("spec", `The field is longer than ${MAX_SPEC_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function unwelcome(field: string, detail: string): AppError {
  const pointer = `/${escapePointer(field)}`;
  return new AppError("invalid_spec", `${pointer}: ${detail}`, { fields: [{ pointer, detail }] });
}

function malformed(why: string): AppError {
  return new AppError("bad_request", `The multipart body cannot be read: ${why}.`);
}

function tooLarge(limits: UploadLimits): AppError {
  return new AppError(
    "payload_too_large",
    `The body is larger than ${limits.maxBytes / MIB} MiB, the most that this server takes (MAX_UPLOAD_MB).`,
  );
}
