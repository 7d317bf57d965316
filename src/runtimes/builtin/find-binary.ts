import { open, readdir, realpath } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import type { ReadOnlyMount } from "../../sandbox/sandbox.ts";

/*
 * Finds real binaries without running anything. A version manager's shim is a script, or a link to the manager itself:
 * it is told by its first bytes, or by its real name. The versions behind shims are looked for where the managers keep
 * them, since a shim costs 200 ms a start.
 */

const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/** The real binary behind `path` if its real name fits, else null; null for scripts and what is not there. */
export async function realBinary(path: string, realName: RegExp): Promise<string | null> {
  try {
    const real = await realpath(path);
    return realName.test(basename(real)) && (await isElf(real)) ? real : null;
  } catch {
    return null;
  }
}

async function isElf(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(ELF_MAGIC.length), 0, ELF_MAGIC.length, 0);
    return buffer.equals(ELF_MAGIC);
  } finally {
    await file.close();
  }
}

/** `<directory>/<each entry>/bin`, newest version first; empty when there is no such directory. */
export async function versionBins(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .map((name) => join(directory, name, "bin"));
}

/** What every guest sees anyway. */
const SYSTEM_DIRECTORIES = ["/usr", "/bin", "/sbin"];

/** Nothing for what every guest sees; else the binary alone. */
export function binaryMount(binary: string): readonly ReadOnlyMount[] {
  return isOfSystem(binary) ? [] : [{ hostPath: binary }];
}

/** Whether every guest sees `path` without a mount of its own. */
export function isOfSystem(path: string): boolean {
  return SYSTEM_DIRECTORIES.some((directory) => isUnder(path, directory));
}

function isUnder(path: string, directory: string): boolean {
  return path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

/** The entry as a path that no program takes for an option or a subcommand. */
export function asPath(entry: string): string {
  return `./${entry}`;
}

/** The entry as it was uploaded where that cannot be an option: for programs that show it, as in `$0`. */
export function asGiven(entry: string): string {
  return /^[\w.]/.test(entry) ? entry : asPath(entry);
}
