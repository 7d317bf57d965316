import { chmod, copyFile, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * This service's own files for guests: each language's are in a folder of their own, which is mounted into its guests.
 */

const FILES = {
  python: ["sitecustomize.py", "job_runner_wait.py", "job_runner_end.py"],
  javascript: ["wait.cjs"],
  ruby: ["print_at_once.rb"],
} as const;

/** The folder of a language, once installSupport has put it there. */
export function supportPath(supportDirectory: string, language: keyof typeof FILES): string {
  return join(supportDirectory, language);
}

/** Puts them where guests can read them, wherever this service is installed. Throws what the file system throws. */
export async function installSupport(supportDirectory: string): Promise<void> {
  await mkdir(supportDirectory, { recursive: true });
  // The umask of the service may have taken the others' bits.
  await chmod(supportDirectory, 0o755);
  for (const [language, files] of Object.entries(FILES)) {
    const folder = join(supportDirectory, language);
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
    for (const file of files) {
      await copyFile(fileURLToPath(new URL(`./${file}`, import.meta.url)), join(folder, file));
      await chmod(join(folder, file), 0o644);
    }
  }
}

/** What py_compile makes of Python's files, by the names under which Python looks for it (PEP 3147). */
const COMPILED = /^(?:sitecustomize|job_runner_wait|job_runner_end)\.[a-z]+-\d+\.pyc$/;

/**
 * Puts one of Python's files as a trial has compiled it beside the others, where Python takes it in place of its source. Like
 * those, guests can read it and nothing else: whoever could write it would run in every later job. Any other `path` is
 * ignored. Throws what the file system throws.
 */
export async function keepCompiled(
  supportDirectory: string,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  if (!COMPILED.test(path)) return;
  const folder = join(supportPath(supportDirectory, "python"), "__pycache__");
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
  // As a whole: where the runtimes are looked for again, a job may be about to read the one of before.
  const draft = join(folder, `${path}.draft`);
  await writeFile(draft, bytes);
  await chmod(draft, 0o644);
  await rename(draft, join(folder, path));
}

/**
 * What any program reads when it starts, and not again: the linker, the C library's heap and languages, its time zone (man
 * pages ld.so(8), mallopt(3), locale(7), tzset(3)), OpenSSL's settings, and where a home directory's settings are.
 */
const READ_AT_START = /^(?:LD_|GLIBC_|MALLOC_|LC_|LANG|TZ|OPENSSL_|SSL_|HOME$)/;

/** Whether a job sets a variable that an interpreter which has been started without it would not see: a common one, or one of `own`. */
export function hasVariable(env: Readonly<Record<string, string>>, own: RegExp): boolean {
  return Object.keys(env).some((name) => READ_AT_START.test(name) || own.test(name));
}
