import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { submissionForm } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { type LoggedLine, parseLog } from "../support/recorded-log.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`;
const SHOW = "import os\nprint(os.environ.get('TRACEPARENT', 'none'))\n";

interface EndedJson {
  readonly id: string;
  readonly stdout: string;
  readonly traceparent: string | null;
}

describe.each(DEPLOYMENTS)("a traceparent on $name", ({ start }) => {
  let deployment: Deployment;
  let url: string;
  beforeAll(async () => {
    deployment = await start({ LOG_LEVEL: "debug" });
    ({ url } = deployment.api);
  }, 60_000);
  afterAll(() => deployment.stop());

  /** Submits to a path, waits for the end, and gives the job with its output. */
  async function run(
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: FormData,
  ): Promise<EndedJson> {
    const init = { method: "POST", headers: { Prefer: "wait=30", ...headers } };
    const response = await fetch(`${url}${path}`, body === undefined ? init : { ...init, body });
    expect(response.status).toBe(200);
    return (await response.json()) as EndedJson;
  }

  const form = (spec: object = {}) =>
    submissionForm({ spec: { entry: "main.py", ...spec }, code: { "main.py": SHOW } });

  test("is in the program's environment, and in every view of the job", async () => {
    const ended = await run("/jobs", { traceparent: TRACEPARENT }, form());
    expect(ended.stdout).toBe(`${TRACEPARENT}\n`);
    expect(ended.traceparent).toBe(TRACEPARENT);
    const job = (await (await fetch(`${url}/jobs/${ended.id}`)).json()) as EndedJson;
    expect(job.traceparent).toBe(TRACEPARENT);
    const list = (await (await fetch(`${url}/jobs?limit=1`)).json()) as { items: EndedJson[] };
    expect(list.items).toMatchObject([{ id: ended.id, traceparent: TRACEPARENT }]);
  });

  test("gives way to a variable that the spec sets", async () => {
    const spec = { env: { TRACEPARENT: "of the client" } };
    const ended = await run("/jobs", { traceparent: TRACEPARENT }, form(spec));
    expect(ended.stdout).toBe("of the client\n");
  });

  test("that is malformed is as none", async () => {
    for (const traceparent of [TRACEPARENT.toUpperCase(), `${TRACEPARENT}-more`, "", "\tgarbage"])
      expect(await run("/jobs", { traceparent }, form())).toMatchObject({
        stdout: "none\n",
        traceparent: null,
      });
  });

  test("belongs to the request: a job that is run again is part of the trace of that request", async () => {
    const first = await run("/jobs", { traceparent: TRACEPARENT }, form());
    expect((await run(`/jobs/${first.id}/rerun`, {})).stdout).toBe("none\n");
    const other = TRACEPARENT.replaceAll("0", "1").replace(/^11-/, "00-");
    const again = await run(`/jobs/${first.id}/rerun`, { traceparent: other });
    expect(again.stdout).toBe(`${other}\n`);
  });

  /** What some process of the service has said by the time that it has said this too. */
  async function linesWith(pattern: RegExp): Promise<readonly LoggedLine[]> {
    const processes = [deployment.api, ...deployment.workers];
    await Promise.any(processes.map((each) => each.said(pattern)));
    return processes.flatMap((each) => parseLog(each.output()));
  }

  test("is told in the service's own lines of the request and of the job, and in no others", async () => {
    const headers = { traceparent: TRACEPARENT, "X-Request-Id": "the-traced-request" };
    const { id } = await run("/jobs", headers, form());
    const other = await run("/jobs", {}, form());
    await linesWith(/"event":"request_answered".*"request_id":"the-traced-request"/);
    await linesWith(new RegExp(`"event":"job_ended".*"job_id":"${id}"`));
    const lines = await linesWith(new RegExp(`"event":"job_ended".*"job_id":"${other.id}"`));
    const traced = lines.filter(
      (line) => line.request_id === "the-traced-request" || line.job_id === id,
    );
    expect(traced.map(({ event }) => event).toSorted()).toEqual([
      "job_claimed",
      "job_ended",
      "job_started",
      "job_submitted",
      "request_answered",
    ]);
    for (const line of traced) expect(line).toMatchObject({ trace_id: TRACE, span_id: SPAN });
    const untraced = lines.filter((line) => line.job_id === other.id);
    expect(untraced.length).toBeGreaterThan(0);
    for (const line of untraced) expect(line.trace_id).toBeUndefined();
  });
});
