import { LANGUAGE_NAMES } from "../../src/jobs/languages.ts";
import { snapshot, submit, type Submission, waitForEnd } from "./client.ts";
import { removeDataDir, type RunningService, startService } from "./service.ts";

/*
 * A service that has found its languages, and what a test does with it.
 */

interface Runtimes {
  readonly items: readonly {
    readonly name: string;
    readonly aliases: readonly string[];
    readonly compiles: boolean;
    readonly installs: string | null;
  }[];
  readonly absent: readonly { readonly name: string; readonly hint: string }[];
}

export async function runtimesOf({ url }: RunningService): Promise<Runtimes> {
  return (await (await fetch(`${url}/runtimes`)).json()) as Runtimes;
}

/** One that has found every language that is here. */
export async function startReady(
  env: Readonly<Record<string, string>> = {},
): Promise<RunningService> {
  const service = await startService({ env: { LANGUAGES: LANGUAGE_NAMES.join(","), ...env } });
  await untilReady(service);
  return service;
}

/** A service has no event for what its workers find: asked until there is something. */
export async function untilReady(service: RunningService): Promise<void> {
  while ((await runtimesOf(service)).items.length === 0) await Bun.sleep(20);
}

export async function stopAndRemove(service: RunningService): Promise<void> {
  await service.stop();
  await removeDataDir(service.dataDir);
}

export async function runJob({ url }: RunningService, submission: Submission) {
  const { id } = await submit(url, submission);
  const job = await waitForEnd(url, id);
  const printed = async (stream: string) =>
    (await snapshot(url, id, `?stream=${stream}`)).toString();
  return {
    job,
    stdout: await printed("stdout"),
    stderr: await printed("stderr"),
    compiler: await printed("compiler"),
    installer: await printed("installer"),
  };
}

/** Follows a job's stream until a line has come that holds this. */
export async function untilPrinted(url: string, id: string, part: string): Promise<void> {
  const stream = await fetch(`${url}/jobs/${id}/logs/stream`);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes(part);) {
    const step = await reader?.read();
    if (step?.done !== false) throw new Error(`The stream ended without ${part}: ${text}`);
    text += step.value;
  }
  await reader?.cancel();
}

export function cancel(url: string, id: string): Promise<Response> {
  return fetch(`${url}/jobs/${id}/cancel`, { method: "POST" });
}

/** A C program of one file. */
export const cProgram = (source: string, spec: object = {}): Submission => ({
  spec: { entry: "main.c", ...spec },
  code: { "main.c": source },
});

export const HELLO_C = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n';
