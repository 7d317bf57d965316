import type { Static } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";

import { AppError, messageOf } from "../errors.ts";
import type { Upload } from "../files/file-store.ts";
import type { InputFile } from "../jobs/job.ts";
import { MIB } from "../jobs/limits.ts";
import { checkRelativePath, findPathConflict } from "../jobs/paths.ts";
import { describeSchemaError } from "../jobs/schema-errors.ts";
import { InlineFilesSchema } from "./request-schemas.ts";
import type { UploadLimits } from "./upload.ts";

/*
 * The body of POST /jobs as JSON: the members of a spec, and beside them the files with their contents. For clients that
 * have no multipart at hand, and for programs that are a few lines; it is read as a whole, so it may be no longer than that.
 */

const MAX_JSON_BYTES = 16 * MIB;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

type InlineFiles = Static<typeof InlineFilesSchema>;

const compiled = TypeCompiler.Compile(InlineFilesSchema);

export interface InlineJob {
  /** The body without its files; not checked. */
  readonly spec: unknown;
  readonly files: readonly InputFile[];
}

/** Whether a request says that its body is JSON. */
export function isJson(request: Request): boolean {
  return /^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "");
}

/**
 * Reads a JSON body into `upload`, which the caller discards when this throws.
 * @throws AppError `bad_request` for a body that is no JSON object, `payload_too_large`, `invalid_spec` with a pointer into
 * the body, or what `upload.add` throws.
 */
export async function receiveJson(
  request: Request,
  upload: Upload,
  limits: UploadLimits,
): Promise<InlineJob> {
  const maxBytes = Math.min(limits.maxBytes, MAX_JSON_BYTES);
  const body = parseObject(await readBody(request, maxBytes));
  const { files: sent = [], ...spec } = body;
  const files: InputFile[] = [];
  for (const { path, bytes } of checkFiles(sent, limits))
    files.push(await upload.add({ path, role: "code", bytes: inOnePiece(bytes) }));
  return { spec, files };
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new AppError(
      "payload_too_large",
      `A JSON body may have ${maxBytes} bytes at most; send larger files as multipart/form-data.`,
    );
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let receivedBytes = 0;
  try {
    const body: ReadableStream<Uint8Array> | null = request.body;
    for await (const chunk of body ?? []) {
      receivedBytes += chunk.length;
      if (receivedBytes > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof AppError ? error : unreadable(messageOf(error));
  }
  return Buffer.concat(chunks);
}

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    // Skips a byte order mark, and refuses what is not UTF-8 (RFC 8259, section 8.1).
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw unreadable(messageOf(error));
  }
  if (typeof body === "object" && body !== null && !Array.isArray(body))
    return body as Record<string, unknown>;
  throw unreadable(
    'it is no object; an example is {"entry":"main.py","files":[{"path":"main.py","content":"print(1)"}]}',
  );
}

function checkFiles(
  sent: unknown,
  limits: UploadLimits,
): readonly { readonly path: string; readonly bytes: Uint8Array }[] {
  if (!compiled.Check(sent)) {
    const error = compiled.Errors(sent).First();
    throw unwelcome(error?.path ?? "", error === undefined ? "" : describeSchemaError(error));
  }
  if (sent.length > limits.maxFiles)
    throw unwelcome("", `A job may have at most ${limits.maxFiles} files.`);
  const files = sent.map((file, index) => ({
    path: checkedPath(file.path, index),
    bytes: decode(file, index),
  }));
  const conflict = findPathConflict(files.map(({ path }) => path));
  if (conflict !== null) {
    const index = files.findLastIndex(({ path }) => path === conflict.path);
    throw unwelcome(`/${index}/path`, conflict.problem);
  }
  return files;
}

function checkedPath(path: string, index: number): string {
  const checked = checkRelativePath(path);
  if (!checked.ok) throw unwelcome(`/${index}/path`, checked.problem);
  return checked.path;
}

function decode({ content, encoding }: InlineFiles[number], index: number): Uint8Array {
  if (encoding === "base64") {
    if (!BASE64.test(content))
      throw unwelcome(`/${index}/content`, "The text is not base64 (RFC 4648, section 4).");
    return Buffer.from(content, "base64");
  }
  if (!content.isWellFormed())
    throw unwelcome(`/${index}/content`, "The text is not valid Unicode; send bytes as base64.");
  return Buffer.from(content, "utf8");
}

function unwelcome(pointerInFiles: string, detail: string): AppError {
  const pointer = `/files${pointerInFiles}`;
  return new AppError("invalid_spec", `${pointer}: ${detail}`, { fields: [{ pointer, detail }] });
}

function unreadable(why: string): AppError {
  return new AppError("bad_request", `The JSON body cannot be read: ${why}.`);
}
