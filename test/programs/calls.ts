import { expect } from "bun:test";

import { runPython } from "../support/client.ts";
import { fieldPart, filePart, MULTIPART, multipartBody } from "../support/multipart.ts";
import { rawRequest } from "../support/raw-http.ts";
import type { Theme } from "./hostile-program.ts";

async function artifactOf(url: string): Promise<{ readonly id: string; readonly at: string }> {
  const { job } = await runPython(url, "open('out.txt', 'w').write('0123456789')");
  expect(job.artifacts.map(({ name }) => name)).toEqual(["out.txt"]);
  return { id: job.id, at: `${url}${job.artifacts[0]!.url}` };
}

export const calls: Theme = {
  title: "Calls",
  entries: [
    {
      name: "downloads outside of the job",
      tries: "Asks for artifacts by .., plain, encoded once and twice, by backslash and by NUL.",
      safeOutcome: "404: a name is looked up among the job's artifacts, never on the disk.",
      async attempt({ url }) {
        const { id } = await artifactOf(url);
        for (const path of [
          "../../jobs.sqlite",
          "..%2f..%2fjobs.sqlite",
          "%2e%2e/%2e%2e/jobs.sqlite",
          "%252e%252e%252fjobs.sqlite",
          "..%5c..%5cjobs.sqlite",
          "out.txt%00",
          "out.txt%00.html",
          "%2fetc%2fpasswd",
          "/etc/passwd",
          "./out.txt/",
          "1/0",
        ]) {
          const request = `GET /jobs/${id}/artifacts/${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
          const answer = await rawRequest(url, request);
          expect([path, answer.status]).toEqual([path, 404]);
          expect(answer.body).not.toContain("SQLite format");
        }
      },
    },
    {
      name: "ranges beyond reason",
      tries: "Asks for a thousand ranges, for huge ones and for ones that end before they begin.",
      safeOutcome: "One range at most is served; others get the whole file, or a 416.",
      async attempt({ url }) {
        const { at } = await artifactOf(url);
        const many = Array.from({ length: 1_000 }, () => "0-").join(",");
        for (const [range, status, length] of [
          [`bytes=${many}`, 200, 10],
          ["bytes=0-99999999999999999999", 206, 10],
          ["bytes=-99999999999999999999", 206, 10],
          ["bytes=9-0", 200, 10],
          ["bytes=99999999999999999999-", 416, null],
          ["bytes=--5", 200, 10],
          ["bytes=2-3", 206, 2],
        ] as const) {
          const answer = await fetch(at, { headers: { Range: range } });
          expect([range.slice(0, 40), answer.status]).toEqual([range.slice(0, 40), status]);
          const body = await answer.bytes();
          if (length !== null) expect(body).toHaveLength(length);
        }
      },
    },
    {
      name: "headers injected by a request",
      tries: "Puts line ends into the ids and labels that answers repeat.",
      safeOutcome: "What an answer repeats cannot end its line.",
      async attempt({ url }) {
        const request = (id: string) =>
          `GET /jobs/%0d%0aX-Injected:%201 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ${id}\r\nConnection: close\r\n\r\n`;
        for (const id of ["a\u0000b", "a\x0bX-Injected: 1", "a\u2028b", "x".repeat(5_000)]) {
          const answer = await rawRequest(url, request(id));
          expect([404, 400]).toContain(answer.status);
          expect(answer.headers.has("x-injected")).toBe(false);
          expect(answer.headers.get("x-request-id") ?? "").not.toContain("X-Injected");
        }
        const labels = { "a\r\nX-Injected": "1\r\n\r\n" };
        const { job } = await runPython(url, "print(1)", { labels });
        const answer = await fetch(`${url}/jobs/${job.id}`);
        expect(answer.headers.has("x-injected")).toBe(false);
        expect(await answer.json()).toMatchObject({ spec: { labels } });
      },
    },
    {
      name: "a web page that calls localhost",
      tries: "Has the browser of the operator post a job, by another origin or by DNS rebinding.",
      safeOutcome: "403 for a foreign origin, and for a host name that is not ours.",
      async attempt({ url }) {
        const body = multipartBody(
          fieldPart("spec", '{"entry":"main.py"}'),
          filePart("code_files", "main.py"),
        );
        for (const header of [
          "Origin: https://evil.example",
          "Sec-Fetch-Site: cross-site",
          "Host: evil.example",
        ]) {
          const host = header.startsWith("Host") ? "" : "Host: localhost\r\n";
          const head = `POST /jobs HTTP/1.1\r\n${host}${header}\r\nContent-Type: ${MULTIPART}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`;
          expect([header, (await rawRequest(url, head + body)).status]).toEqual([header, 403]);
        }
      },
    },
  ],
};
