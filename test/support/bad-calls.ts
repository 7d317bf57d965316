import { answerOf, type BadRequest } from "./bad-request.ts";
import { rawRequest } from "./raw-http.ts";

/* Everything but a body that can be wrong with a call. JOB stands for a job that has run, with the artifact out.txt. */

const NOBODY = "00000000-0000-4000-8000-000000000000";

function called(path: string, init: RequestInit = {}): BadRequest["send"] {
  return async ({ url, jobId }) =>
    answerOf(await fetch(`${url}${path.replace("JOB", jobId)}`, init));
}

/** `head` is the request line and headers; a fetch would mend or refuse them. */
function wired(head: readonly string[]): BadRequest["send"] {
  return async ({ url, jobId }) => {
    const text = [...head, "Connection: close", "", ""].join("\r\n").replaceAll("JOB", jobId);
    const { status, headers, body } = await rawRequest(url, text);
    return { status, contentType: headers.get("content-type") ?? "", body };
  };
}

const query = (path: string, pointer: string, method = "GET"): BadRequest => ({
  name: `${method} ${path}`,
  send: called(path, { method }),
  status: 422,
  code: "invalid_query",
  pointer,
});

const missing = (path: string, method = "GET"): BadRequest => ({
  name: `${method} ${path}`,
  send: called(path, { method }),
  status: 404,
  code: "not_found",
  pointer: null,
});

const notAllowed = (method: string, path: string): BadRequest => ({
  name: `${method} ${path}`,
  send: called(path, { method }),
  status: 405,
  code: "method_not_allowed",
  pointer: null,
});

const refused = (
  name: string,
  [status, code]: readonly [number, string],
  send: BadRequest["send"],
): BadRequest => ({ name, send, status, code, pointer: null });

const FORBIDDEN_HOST = [403, "forbidden_host"] as const;
const FORBIDDEN_ORIGIN = [403, "forbidden_origin"] as const;
const NOT_FOUND = [404, "not_found"] as const;
const BAD_REQUEST = [400, "bad_request"] as const;

export const BAD_CALLS: readonly BadRequest[] = [
  query("/jobs?status=done", "/status"),
  query("/jobs?status=", "/status"),
  query("/jobs?limit=0", "/limit"),
  query("/jobs?limit=201", "/limit"),
  query("/jobs?limit=-1", "/limit"),
  query("/jobs?limit=1e1", "/limit"),
  query("/jobs?limit=ten", "/limit"),
  query("/jobs?limit=1&limit=2", "/limit"),
  query("/jobs?cursor=garbage", "/cursor"),
  query("/jobs?cursor=", "/cursor"),
  query("/jobs?label=nocolon", "/label"),
  query("/jobs?runtime=", "/runtime"),
  query("/jobs?page=2", "/page"),
  query("/jobs?__proto__=1", "/__proto__"),
  query("/jobs?%zz=1", "/%zz"),
  query("/jobs/JOB/logs?stream=both", "/stream"),
  query("/jobs/JOB/logs?attempt=0", "/attempt"),
  query("/jobs/JOB/logs?attempt=first", "/attempt"),
  query("/jobs/JOB/logs?lines=5", "/lines"),
  query("/jobs/JOB/logs/stream?format=xml", "/format"),
  query("/jobs/JOB/logs/stream?attempt=-1", "/attempt"),
  query(`/jobs/JOB/logs/stream?last_event_id=${"1".repeat(101)}`, "/last_event_id"),
  query("/jobs?wait=20", "/wait", "POST"),
  query("/jobs/JOB?wait=1", "/wait", "DELETE"),
  query("/jobs/JOB/cancel?now=1", "/now", "POST"),
  query("/jobs/JOB/rerun?wait=1", "/wait", "POST"),
  query("/jobs/JOB/files/main.py?x", "/x"),
  query("/runtimes?name=python3", "/name"),
  query("/health?full=1", "/full"),
  query("/stats?x=", "/x"),
  query("/openapi.json?v=3", "/v"),
  refused(
    "a rerun with a body",
    BAD_REQUEST,
    called("/jobs/JOB/rerun", { method: "POST", body: '{"entry":"other.py"}' }),
  ),
  { ...missing("/jobs/JOB/logs?attempt=2"), pointer: "/attempt" },
  { ...missing("/jobs/JOB/logs/stream?attempt=999999"), pointer: "/attempt" },

  missing(`/jobs/${NOBODY}`),
  missing(`/jobs/${NOBODY}/logs`),
  missing(`/jobs/${NOBODY}/logs/stream`),
  missing(`/jobs/${NOBODY}/artifacts`),
  missing(`/jobs/${NOBODY}/artifacts/out.txt`),
  missing(`/jobs/${NOBODY}/cancel`, "POST"),
  missing("/jobs/not-an-id"),
  missing("/jobs/%00"),
  missing("/jobs/JOB%7D:log/cancel", "POST"),
  missing("/jobs/JOB/nothing"),
  missing("/nothing"),
  missing("/JOBS"),
  missing("/jobs/JOB/artifacts/none.txt"),
  missing("/jobs/JOB/artifacts/..%2F..%2Fjobs.sqlite"),
  missing("/jobs/JOB/artifacts/%2e%2e%2f%2e%2e%2fjobs.sqlite"),
  missing("/jobs/JOB/artifacts/%2Fetc%2Fpasswd"),
  missing("/jobs/JOB/artifacts/..%5C..%5Cjobs.sqlite"),
  missing("/jobs/JOB/artifacts/out.txt%00"),
  refused(
    "a path with ..",
    NOT_FOUND,
    wired(["GET /jobs/JOB/artifacts/../../../etc/passwd HTTP/1.1", "Host: localhost"]),
  ),
  refused(
    "a path with encoded ..",
    NOT_FOUND,
    wired(["GET /jobs/JOB/artifacts/%2e%2e/%2e%2e/jobs.sqlite HTTP/1.1", "Host: localhost"]),
  ),
  refused(
    "a path with a bad escape",
    BAD_REQUEST,
    wired(["GET /jobs/%zz HTTP/1.1", "Host: localhost"]),
  ),
  refused(
    "an artifact with a bad escape",
    BAD_REQUEST,
    wired(["GET /jobs/JOB/artifacts/%ff HTTP/1.1", "Host: localhost"]),
  ),

  notAllowed("PUT", "/jobs"),
  notAllowed("PUT", "/jobs/JOB"),
  notAllowed("DELETE", "/jobs/JOB/logs"),
  notAllowed("GET", "/jobs/JOB/rerun"),
  notAllowed("PATCH", "/jobs/JOB/logs"),
  notAllowed("POST", "/jobs/JOB/logs/stream"),
  notAllowed("GET", "/jobs/JOB/cancel"),
  notAllowed("POST", "/jobs/JOB/artifacts/out.txt"),
  notAllowed("POST", "/health"),

  refused(
    "a range beyond the end",
    [416, "range_not_satisfiable"],
    called("/jobs/JOB/artifacts/out.txt", { headers: { Range: "bytes=6-" } }),
  ),
  refused(
    "an empty suffix range",
    [416, "range_not_satisfiable"],
    called("/jobs/JOB/artifacts/out.txt", { headers: { Range: "bytes=-0" } }),
  ),

  refused("another Host", FORBIDDEN_HOST, wired(["GET /jobs HTTP/1.1", "Host: evil.example"])),
  refused(
    "a Host like ours",
    FORBIDDEN_HOST,
    wired(["GET /jobs HTTP/1.1", "Host: localhost.evil.example"]),
  ),
  refused("a numeric Host", FORBIDDEN_HOST, wired(["GET /jobs HTTP/1.1", "Host: 10.0.0.1:8000"])),
  refused("a Host that fits no URL", FORBIDDEN_HOST, wired(["GET /jobs HTTP/1.1", "Host: a b"])),
  refused(
    "a Host that is half an address",
    FORBIDDEN_HOST,
    wired(["GET /jobs HTTP/1.1", "Host: [::1"]),
  ),
  refused("an empty Host", FORBIDDEN_HOST, wired(["GET /jobs HTTP/1.1", "Host:"])),
  refused(
    "two Hosts",
    FORBIDDEN_HOST,
    wired(["GET /jobs HTTP/1.1", "Host: localhost", "Host: evil.example"]),
  ),
  refused("no Host, as in HTTP/1.0", FORBIDDEN_HOST, wired(["GET /jobs HTTP/1.0"])),
  refused(
    "a page of another origin",
    FORBIDDEN_ORIGIN,
    called("/jobs", { headers: { Origin: "https://evil.example" } }),
  ),
  refused("an opaque origin", FORBIDDEN_ORIGIN, called("/jobs", { headers: { Origin: "null" } })),
  refused(
    "a page on another port",
    FORBIDDEN_ORIGIN,
    called("/jobs", { headers: { Origin: "http://localhost:1" } }),
  ),
  refused(
    "a cross-site request",
    FORBIDDEN_ORIGIN,
    wired(["GET /jobs HTTP/1.1", "Host: localhost", "Sec-Fetch-Site: cross-site"]),
  ),
  refused(
    "a same-site request",
    FORBIDDEN_ORIGIN,
    wired([
      "POST /jobs HTTP/1.1",
      "Host: localhost",
      "Sec-Fetch-Site: same-site",
      "Content-Length: 0",
    ]),
  ),
  refused(
    "a preflight of another origin",
    FORBIDDEN_ORIGIN,
    wired([
      "OPTIONS /jobs HTTP/1.1",
      "Host: localhost",
      "Origin: https://evil.example",
      "Access-Control-Request-Method: POST",
    ]),
  ),
  refused(
    "a Content-Length above MAX_UPLOAD_MB",
    [413, "payload_too_large"],
    wired([
      "POST /jobs HTTP/1.1",
      "Host: localhost",
      "Content-Type: multipart/form-data; boundary=x",
      "Content-Length: 99999999999",
    ]),
  ),
];
