import { ROOT } from "./service.ts";

/** An API key as its holder has it. */
export interface TestKey {
  readonly id: string;
  readonly text: string;
  /** For a request that is made with it. */
  readonly headers: { readonly "X-API-Key": string };
}

/** Runs the command that makes and revokes keys, on a data directory. */
export async function runKeys(
  dataDir: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const child = Bun.spawn([process.execPath, "run", "src/keys.ts", ...args], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", JOB_DATA_DIR: dataDir, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { stdout, stderr, exitCode: await child.exited };
}

/** Makes a key by the command; `options` are its own, such as `--scopes read`. */
export async function createKey(
  dataDir: string,
  name: string,
  ...options: readonly string[]
): Promise<TestKey> {
  const { stdout, stderr, exitCode } = await runKeys(dataDir, ["create", name, ...options]);
  if (exitCode !== 0) throw new Error(`The key was not made: ${stderr}`);
  const text = stdout.trim();
  return { id: text.split("_")[1] ?? "", text, headers: { "X-API-Key": text } };
}
