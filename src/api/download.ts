import { AppError } from "../errors.ts";
import { type ByteRange, parseByteRange } from "./byte-range.ts";
import { mediaTypeOf } from "./media-type.ts";

/** A stored file, as it is sent. */
export interface StoredFile {
  /** As a program sees it; its last part is what the download is called. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * The answer to a GET of a file: with its ETag, to conditional requests, and to those of one range (RFC 9110, sections 13
 * and 14). `read` opens the bytes that are to be sent. Throws AppError `range_not_satisfiable`, and what `read` throws.
 */
export async function fileResponse(
  request: Request,
  file: StoredFile,
  read: (range: ByteRange) => Promise<Blob>,
): Promise<Response> {
  const etag = `"${file.sha256}"`;
  const headers = downloadHeaders(file, etag);
  if (matchesEtag(request.headers.get("if-none-match"), etag))
    return new Response(null, { status: 304, headers });
  const condition = request.headers.get("if-range");
  const rangeHeader =
    condition === null || condition === etag ? request.headers.get("range") : null;
  const partial = parseByteRange(rangeHeader, file.sizeBytes);
  const range = partial ?? { start: 0, end: file.sizeBytes };
  headers["Content-Length"] = String(range.end - range.start);
  if (partial !== null) headers["Content-Range"] = contentRange(partial, file.sizeBytes);
  return new Response(await read(range), { status: partial === null ? 200 : 206, headers });
}

/** The header of a part (RFC 9110, section 14.4). */
export function contentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end - 1}/${sizeBytes}`;
}

/**
 * What follows the first `skip` components of a request's path, taken as it was sent: a name is data, so each of its
 * components is decoded exactly once. `checkUrl` (app.ts) has refused what cannot be decoded.
 */
export function nameInPath(request: Request, skip: number): string {
  const components = new URL(request.url).pathname.split("/").slice(skip + 1);
  return components.map(decodeURIComponent).join("/");
}

/** The refusal of a file that is not there. */
export function noFile(message: string): AppError {
  return new AppError("not_found", message);
}

/** Whether an If-None-Match header names this copy (RFC 9110, section 13.1.2). */
export function matchesEtag(header: string | null, etag: string): boolean {
  if (header === null) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}

/** A user chose the content and the name: it is for download only, and never runs in this server's origin. */
function downloadHeaders(file: StoredFile, etag: string): Record<string, string> {
  const base = file.path.slice(file.path.lastIndexOf("/") + 1);
  return {
    "Content-Type": mediaTypeOf(file.path),
    ...attachmentHeaders(base),
    "Cache-Control": "private, max-age=0, must-revalidate",
    "Accept-Ranges": "bytes",
    ETag: etag,
  };
}

/** What keeps bytes of others from being shown as a page of this server's. */
export function attachmentHeaders(name: string): Record<string, string> {
  // RFC 6266: a plain fallback, and the real name in the extended form.
  const fallback = name.replace(/[^\w.-]/g, "_");
  const extended = encodeURIComponent(name).replace(/['()*]/g, escapeCharacter);
  return {
    "Content-Disposition": `attachment; filename="${fallback}"; filename*=UTF-8''${extended}`,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
  };
}

/** encodeURIComponent leaves these four alone, RFC 8187 does not. */
function escapeCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
