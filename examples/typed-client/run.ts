#!/usr/bin/env bun
/*
 * The typed client: every call, body, query and answer is known to the compiler and to the editor. A job goes in as JSON, its
 * log comes line by line, its artifact as bytes.
 */

import { createClient } from "job-runner/client";
import { followLog } from "job-runner/follow-log";

const server = process.env["JOB_RUNNER_URL"] ?? "http://127.0.0.1:8000";
const apiKey = process.env["JOB_RUNNER_KEY"];
const options = apiKey === undefined ? {} : { apiKey };
const client = createClient(server, options);

function fail(complaint: string): never {
  console.error(`typed-client: ${complaint}`);
  process.exit(1);
}

function check(isTrue: boolean, complaint: string): void {
  if (!isTrue) fail(complaint);
}

const content = await Bun.file(`${import.meta.dir}/primes.py`).text();
const submitted = await client.jobs.post({
  entry: "primes.py",
  args: ["30"],
  labels: { example: "typed-client" },
  files: [{ path: "primes.py", content }],
});
if (submitted.error !== null) {
  // A problem (RFC 9457): its code is stable, and its errors point at what is wrong with the body.
  const { code, detail } = submitted.error.value;
  fail(`${submitted.status} ${code}: ${detail}`);
}
const { id } = submitted.data;

// Taken up again by itself wherever a connection breaks.
let printed = "";
for await (const event of followLog(server, id, options)) {
  if (event.name !== "message") continue;
  console.log(event.data);
  printed += `${event.data}\n`;
}

const { data: job } = await client.jobs({ id }).get();
check(job?.status === "succeeded", `the job is ${job?.status}`);
const { data: log } = await client.jobs({ id }).logs.get();
check(log === printed, "stream and snapshot differ");

const { data: artifacts } = await client.jobs({ id }).artifacts.get();
const names = artifacts?.items.map(({ name }) => name).join(", ");
check(names === "primes.txt", `the artifacts are ${names}`);
const { data: bytes } = await client.jobs({ id }).artifacts({ filename: "primes.txt" }).get();
const primes = new TextDecoder().decode(bytes ?? undefined);
check(primes === "2 3 5 7 11 13 17 19 23 29\n", `primes.txt is ${JSON.stringify(primes)}`);

// What is wrong with a request is told to the compiler too: by its status, the problem is one of these.
const refused = await client.jobs.post({ entry: "missing.py", files: [] });
check(refused.error?.status === 422, `a job without its entry is a ${refused.status}`);
