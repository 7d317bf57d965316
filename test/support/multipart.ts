/** Multipart bodies written out by hand, so that they can be wrong. */

export const BOUNDARY = "the-boundary";
export const MULTIPART = `multipart/form-data; boundary=${BOUNDARY}`;
export const LAST_BOUNDARY = `--${BOUNDARY}--\r\n`;

/** One part with the given header lines. */
export function part(headers: string, content: string): string {
  return `--${BOUNDARY}\r\n${headers}\r\n\r\n${content}\r\n`;
}

export function fieldPart(name: string, content: string): string {
  return part(`Content-Disposition: form-data; name="${name}"`, content);
}

/** A file; `filename` is put between the quotes as it is. */
export function filePart(name: string, filename: string, content = "print(1)\n"): string {
  return part(`Content-Disposition: form-data; name="${name}"; filename="${filename}"`, content);
}

/** A whole body that is well-formed, of parts that may not be. */
export function multipartBody(...parts: readonly string[]): string {
  return `${parts.join("")}${LAST_BOUNDARY}`;
}
