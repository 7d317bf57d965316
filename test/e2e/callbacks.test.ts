import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import {
  CALLBACK_SECRET,
  type CallbackReceiver,
  startReceiver,
} from "../support/callback-receiver.ts";
import { getJob, runPython, submitPython } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { removeDataDir, startService } from "../support/service.ts";

const ENV = { CALLBACK_SECRET, CALLBACK_EXTRA_ADDRESSES: "127.0.0.1" };

describe.each(DEPLOYMENTS)("callbacks on $name", ({ start }) => {
  let deployment: Deployment;
  let receiver: CallbackReceiver;
  let url: string;
  beforeAll(async () => {
    receiver = startReceiver();
    deployment = await start(ENV);
    ({ url } = deployment.api);
  }, 60_000);
  afterAll(async () => {
    await deployment.stop();
    await receiver.stop();
  });

  test("a client is told of its job as GET /jobs/{id} shows it, however the job ends", async () => {
    const callback_url = receiver.url;
    const failed = await submitPython(url, "import sys; sys.exit(3)", { callback_url });
    const first = await receiver.nth(1);
    expect(first).toMatchObject({ id: failed.id, isSigned: true });
    expect(first.job).toEqual(await getJob(url, failed.id));
    expect(first.job).toMatchObject({ status: "failed", exit_code: 3, spec: { callback_url } });
    const endless = await submitPython(url, "while True: pass", { callback_url });
    await fetch(`${url}/jobs/${endless.id}/cancel`, { method: "POST" });
    expect((await receiver.nth(2)).job).toMatchObject({ id: endless.id, status: "cancelled" });
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^jobrunner_callbacks_total\{result="delivered"\} [1-9]/m);
  });
});

test("a client is told although the server was killed before it could be", async () => {
  const answer = Promise.withResolvers<Response>();
  const receiver = startReceiver((count) =>
    count === 1 ? answer.promise : new Response(null, { status: 204 }),
  );
  const first = await startService({ env: ENV });
  const job = await submitPython(first.url, "print(1)", { callback_url: receiver.url });
  await receiver.nth(1);
  await first.kill9();
  answer.resolve(new Response("nobody hears this"));
  // Told once more when the first try, of which nothing is known, has been out of sight for long enough.
  const second = await startService({ env: ENV, dataDir: first.dataDir });
  expect((await receiver.nth(2)).job).toMatchObject({ id: job.id, status: "succeeded" });
  expect(await second.stop()).toBe(0);
  await removeDataDir(first.dataDir);
  await receiver.stop();
}, 120_000);

test("without a secret no job may ask for one, and a secret of another shape stops the start", async () => {
  const service = await startService();
  const form = new FormData();
  form.append("spec", JSON.stringify({ entry: "main.py", callback_url: "https://a.example/" }));
  form.append("code_files", new File(["print(1)"], "main.py"));
  const refused = await fetch(`${service.url}/jobs`, { method: "POST", body: form });
  expect(refused.status).toBe(422);
  expect(await refused.json()).toMatchObject({ errors: [{ pointer: "/spec/callback_url" }] });
  expect((await runPython(service.url, "print(1)")).job.status).toBe("succeeded");
  await service.stop();
  await removeDataDir(service.dataDir);
  const start = startService({ env: { CALLBACK_SECRET: "hunter2-hunter2-hunter2-hunter2" } });
  const problem = await start.then(String, String);
  expect(problem).toContain("CALLBACK_SECRET");
  expect(problem).not.toContain("hunter2");
});
