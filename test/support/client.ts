/** Job calls as a client makes them, for tests. */

interface UsageJson {
  readonly wall_ms: number;
  readonly cpu_ms: number;
  readonly peak_memory_bytes: number | null;
}

export interface JobJson {
  readonly id: string;
  readonly status: string;
  readonly reason: string | null;
  readonly attempt: number;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly oom: boolean | null;
  readonly usage: UsageJson | null;
  readonly compile_usage: UsageJson | null;
  readonly install_usage: UsageJson | null;
  readonly error: string | null;
  readonly warnings: readonly string[];
  readonly log: { readonly bytes: number; readonly dropped_bytes: number };
  readonly runtime: { readonly name: string; readonly version: string };
  readonly artifacts: readonly {
    readonly name: string;
    readonly size: number;
    readonly sha256: string;
    readonly url: string;
  }[];
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
}

export interface Submission {
  readonly spec: object;
  /** Code files by path. */
  readonly code?: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;
  readonly inputs?: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;
}

export function submissionForm({ spec, code = {}, inputs = {} }: Submission): FormData {
  const form = new FormData();
  form.append("spec", JSON.stringify(spec));
  for (const [path, content] of Object.entries(code))
    form.append("code_files", new Blob([content]), path);
  for (const [path, content] of Object.entries(inputs))
    form.append("input_files", new Blob([content]), path);
  return form;
}

/** Submits a job that is expected to be taken; throws with the answer's text when it is not. */
export async function submit(url: string, submission: Submission): Promise<JobJson> {
  const response = await fetch(`${url}/jobs`, { method: "POST", body: submissionForm(submission) });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as JobJson;
}

/** A Python job of one file. */
export function submitPython(url: string, source: string, spec: object = {}): Promise<JobJson> {
  return submit(url, { spec: { entry: "main.py", ...spec }, code: { "main.py": source } });
}

export async function getJob(url: string, id: string): Promise<JobJson> {
  const response = await fetch(`${url}/jobs/${id}`);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as JobJson;
}

/** Follows the job's stream to its end, then gives its record. */
export async function waitForEnd(url: string, id: string): Promise<JobJson> {
  const response = await fetch(`${url}/jobs/${id}/logs/stream`);
  const text = await response.text();
  if (!text.includes("event: end")) throw new Error(`The stream broke off: ${text.slice(-500)}`);
  return getJob(url, id);
}

export async function snapshot(url: string, id: string, query = ""): Promise<Buffer> {
  const response = await fetch(`${url}/jobs/${id}/logs${query}`);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

/** Runs a Python program to its end. */
export async function runPython(url: string, source: string, spec: object = {}) {
  const { id } = await submitPython(url, source, spec);
  const job = await waitForEnd(url, id);
  return { job, log: (await snapshot(url, id)).toString() };
}
