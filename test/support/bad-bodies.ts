import { type BadRequest, posted } from "./bad-request.ts";
import {
  BOUNDARY,
  fieldPart,
  filePart,
  LAST_BOUNDARY,
  MULTIPART,
  multipartBody,
  part,
} from "./multipart.ts";

/* Bodies of POST /jobs that must be refused. The service that they are sent to takes 6 MiB and 20 files. */

const SPEC = fieldPart("spec", '{"entry":"main.py"}');
const MAIN = filePart("code_files", "main.py");

const named = (filename: string) => multipartBody(SPEC, MAIN, filePart("code_files", filename));
const extended = (encoded: string) =>
  multipartBody(
    SPEC,
    MAIN,
    part(`Content-Disposition: form-data; name="input_files"; filename*=UTF-8''${encoded}`, "x"),
  );

/** Well-formed, but not a job: 422. */
const WRONG_PARTS: readonly (readonly [name: string, body: string, pointer: string])[] = [
  ["a file name with ..", named("../x.py"), "/code_files"],
  ["a file name with .. inside", named("a/../../x.py"), "/code_files"],
  ["an absolute file name", named("/etc/passwd"), "/code_files"],
  ["a file name that is a directory", named("pkg/"), "/code_files"],
  ["a file name that is only dots", named("./."), "/code_files"],
  ["an encoded file name with a NUL", extended("a%00b"), "/input_files"],
  ["an encoded file name with ..", extended("%2e%2e%2fx"), "/input_files"],
  ["a file name nested too deep", named(`${"d/".repeat(32)}x.py`), "/code_files"],
  ["a file name with a long component", named("x".repeat(256)), "/code_files"],
  ["a long file name", named(`${`${"a".repeat(200)}/`.repeat(6)}x.py`), "/code_files"],
  ["an empty file name", named(""), "/code_files"],
  ["a field without a name", multipartBody(SPEC, MAIN, fieldPart("", "x")), "/"],
  ["a file without a field name", multipartBody(SPEC, MAIN, filePart("", "x.py")), "/"],
  [
    "a file without a file name",
    multipartBody(SPEC, MAIN, fieldPart("input_files", "x")),
    "/input_files",
  ],
  [
    "a binary part without a file name",
    multipartBody(
      SPEC,
      MAIN,
      part(
        'Content-Disposition: form-data; name="input_files"\r\nContent-Type: application/octet-stream',
        "x",
      ),
    ),
    "/input_files",
  ],
  ["two code files of one name", multipartBody(SPEC, MAIN, MAIN), "/code_files"],
  [
    "a code file and an input file of one name",
    multipartBody(SPEC, MAIN, filePart("input_files", "./main.py")),
    "/input_files",
  ],
  [
    "a file where another needs a directory",
    multipartBody(SPEC, MAIN, filePart("input_files", "main.py/data.csv")),
    "/input_files",
  ],
  ["no spec", multipartBody(MAIN), "/spec"],
  ["no part at all", LAST_BOUNDARY, "/spec"],
  ["two specs", multipartBody(SPEC, SPEC, MAIN), "/spec"],
  [
    "a spec as text and one as a file",
    multipartBody(SPEC, filePart("spec", "spec.json", '{"entry":"main.py"}'), MAIN),
    "/spec",
  ],
  [
    "a spec file of more than 4 MiB",
    multipartBody(MAIN, filePart("spec", "spec.json", " ".repeat(4 * 1024 * 1024 + 1))),
    "/spec",
  ],
  ["an unknown field", multipartBody(SPEC, MAIN, fieldPart("specs", "{}")), "/specs"],
  ["an unknown file field", multipartBody(SPEC, MAIN, filePart("files", "x.py")), "/files"],
  ["a field name with a slash", multipartBody(SPEC, MAIN, fieldPart("a/b~", "1")), "/a~1b~0"],
  [
    "a field called __proto__",
    multipartBody(SPEC, MAIN, fieldPart("__proto__", "1")),
    "/__proto__",
  ],
  [
    "too many files",
    multipartBody(
      SPEC,
      MAIN,
      ...Array.from({ length: 20 }, (_, n) => filePart("input_files", `${n}`)),
    ),
    "/input_files",
  ],
  ["a spec and no file", multipartBody(SPEC), "/spec/entry"],
];

/** Not readable as multipart: 400. */
const BROKEN: readonly (readonly [name: string, body: string, contentType?: string])[] = [
  ["no boundary in the Content-Type", multipartBody(SPEC, MAIN), "multipart/form-data"],
  ["an empty boundary", multipartBody(SPEC, MAIN), "multipart/form-data; boundary="],
  ["another boundary than the body's", multipartBody(SPEC, MAIN), `${MULTIPART}-not`],
  ["an empty body", ""],
  ["garbage", "\x00\x01\x02 this is no multipart"],
  ["no last boundary", `${SPEC}${MAIN}`],
  ["a body that ends inside a file", `${SPEC}${MAIN.slice(0, -12)}`],
  ["a body that ends inside a header", `${SPEC}--${BOUNDARY}\r\nContent-Dispo`],
  ["a part header without a colon", multipartBody(part("Content-Disposition", "x"), SPEC, MAIN)],
  ["a raw NUL in a file name", multipartBody(SPEC, MAIN, filePart("code_files", "a\0b"))],
  ["a file name of 100 KB", multipartBody(SPEC, MAIN, filePart("code_files", "x".repeat(100_000)))],
];

const OTHER_TYPES = [
  "text/plain",
  "application/x-www-form-urlencoded",
  "application/octet-stream",
  "multipart/mixed; boundary=x",
  "garbage",
];

export const BAD_BODIES: readonly BadRequest[] = [
  ...WRONG_PARTS.map(([name, body, pointer]) => ({
    name,
    send: posted(body),
    status: 422,
    code: "invalid_spec",
    pointer,
  })),
  ...BROKEN.map(([name, body, contentType]) => ({
    name,
    send: posted(body, contentType),
    status: 400,
    code: "bad_request",
    pointer: null,
  })),
  ...OTHER_TYPES.map((contentType) => ({
    name: `a body of ${contentType}`,
    send: posted('{"entry":"main.py"}', contentType),
    status: 415,
    code: "unsupported_media_type",
    pointer: "",
  })),
  {
    name: "a body above MAX_UPLOAD_MB",
    send: posted(
      multipartBody(SPEC, MAIN, filePart("input_files", "x", "x".repeat(6 * 1024 * 1024))),
    ),
    status: 413,
    code: "payload_too_large",
    pointer: null,
  },
];
