#!/usr/bin/env bun
/*
 * A progress bar, live: `format=json` sends unfinished lines at once and keeps carriage returns, so that what arrives
 * can be written to a terminal as it is.
 */

const server = process.env["JOB_RUNNER_URL"] ?? "http://127.0.0.1:8000";

function check(isTrue: boolean, complaint: string): void {
  if (isTrue) return;
  console.error(`\nprogress-bar: ${complaint}`);
  process.exit(1);
}

async function get(path: string): Promise<Response> {
  const response = await fetch(server + path);
  check(response.ok, `GET ${path} answered ${response.status}`);
  return response;
}

/** The `data` of each event of a stream, with the event's name ("message" where it has none). */
async function* readEvents(response: Response): AsyncGenerator<{ name: string; data: string }> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      const data = field("data");
      if (data !== undefined) yield { name: field("event") ?? "message", data };
    }
  }
}

const form = new FormData();
form.append("spec", JSON.stringify({ entry: "copy.py", timeout_sec: 20 }));
form.append("code_files", Bun.file(`${import.meta.dir}/copy.py`), "copy.py");
const submitted = await fetch(`${server}/jobs`, { method: "POST", body: form });
check(submitted.status === 202, `POST /jobs answered ${submitted.status}`);
const { id } = (await submitted.json()) as { id: string };

let shown = "";
let statusAtStart = "";
let end: { status?: string } = {};
for await (const event of readEvents(await get(`/jobs/${id}/logs/stream?format=json`))) {
  if (event.name === "end") end = JSON.parse(event.data);
  if (event.name !== "message") continue;
  const { text } = JSON.parse(event.data) as { text: string };
  process.stdout.write(text);
  shown += text;
  if (statusAtStart === "")
    statusAtStart = ((await (await get(`/jobs/${id}`)).json()) as { status: string }).status;
}

check(end.status === "succeeded", `the stream ended with ${JSON.stringify(end)}`);
// The empty bar was here while the program was still at work, long before the line that it is on ended.
check(statusAtStart === "running", `when the bar appeared the job was ${statusAtStart}`);
check(shown.endsWith("\r[####################] 100%\ncopied\n"), "the bar did not fill up");
check(shown === (await (await get(`/jobs/${id}/logs`)).text()), "stream and snapshot differ");
