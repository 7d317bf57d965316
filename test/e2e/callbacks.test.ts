import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import {
  CALLBACK_SECRET,
  type CallbackReceiver,
  startReceiver,
} from "../support/callback-receiver.ts";
import { getJob, runPython, submitPython } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import { createKey, runKeys } from "../support/keys.ts";
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
    const failed = await submitPython(url, "import sys; sys.exit(3)", {
      callback_url,
      env: { TOKEN: "hush" },
    });
    const first = await receiver.nth(1);
    expect(first).toMatchObject({ id: failed.id, isSigned: true });
    const { spec, ...shown }: object & { spec?: object } = await getJob(url, failed.id);
    const { stdin, env, ...told } = { stdin: null, env: null, ...spec };
    expect(first.job as object).toEqual({ ...shown, spec: told });
    expect({ stdin, env } as object).toEqual({ stdin: "", env: { TOKEN: "hush" } });
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

test("the callbacks of a key's jobs are signed with a secret of its own, which a command tells", async () => {
  const receiver = startReceiver();
  const service = await startService({ env: ENV });
  const key = await createKey(service.dataDir, "tenant");
  const form = new FormData();
  form.append("spec", JSON.stringify({ entry: "main.py", callback_url: receiver.url }));
  form.append("code_files", new File(["print(1)"], "main.py"));
  const { headers } = key;
  const sent = await fetch(`${service.url}/jobs`, { method: "POST", body: form, headers });
  expect(sent.status).toBe(202);
  const callback = await receiver.nth(1);
  expect(callback.isSigned).toBe(false);
  const { stdout } = await runKeys(service.dataDir, ["callback-secret", key.id], {
    CALLBACK_SECRET,
  });
  expect(callback.isSignedWith(stdout.trim())).toBe(true);
  expect(await runKeys(service.dataDir, ["callback-secret", key.id])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("CALLBACK_SECRET is not set"),
  });
  await service.stop();
  await removeDataDir(service.dataDir);
  await receiver.stop();
});

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
