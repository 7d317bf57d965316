import { existsSync, readdirSync } from "node:fs";
import { open, readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import type { ReadOnlyMount } from "../../sandbox/sandbox.ts";
import type { Candidate } from "./language.ts";

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

/** Where the programs of a language that has one runtime here are looked for. */
interface Search {
  /** The runtime's name. */
  readonly name: string;
  /** In the order in which they are preferred, as the following. */
  readonly programs: readonly string[];
  readonly directories: readonly string[];
  /** What the real binary may be called. */
  readonly realName: RegExp;
}

/** The real binaries of these programs, best first; the first that works is to be the runtime. */
export async function findPrograms(search: Search): Promise<readonly Candidate[]> {
  const { name, programs, directories, realName } = search;
  const paths = programs.flatMap((program) => directories.map((each) => join(each, program)));
  const found = await Promise.all(paths.map((path) => realBinary(path, realName)));
  const binaries = new Set(found.filter((binary) => binary !== null));
  return [...binaries].map((binary) => ({ binary, name, isDefault: true }));
}

/** What every guest sees anyway. */
const SYSTEM_DIRECTORIES = ["/usr", "/bin", "/sbin"];

/** Nothing for what every guest sees; else the binary alone. */
export function binaryMount(binary: string): readonly ReadOnlyMount[] {
  return isOfSystem(binary) ? [] : [{ hostPath: binary }];
}

/**
 * What guests must see of an installation at `<prefix>/bin/<program>`: the program, and of `<prefix>/lib` what fits, since
 * there may well be other people's files beside it. Nothing for what every guest sees anyway; null where nothing fits.
 */
export function installationMounts(
  binary: string,
  library: RegExp,
): readonly ReadOnlyMount[] | null {
  if (isOfSystem(binary)) return [];
  const folder = join(dirname(dirname(binary)), "lib");
  if (basename(dirname(binary)) !== "bin" || !existsSync(folder)) return null;
  const names = readdirSync(folder).filter((name) => library.test(name));
  if (names.length === 0) return null;
  return [binary, ...names.map((name) => join(folder, name))].map((hostPath) => ({ hostPath }));
}

/**
 * Parts of an installation that is a folder of its own, at `<folder>/bin/<program>`. Nothing for what every guest sees anyway;
 * null where a part is missing: it is another kind of folder.
 */
export function folderMounts(
  binary: string,
  parts: readonly string[],
): readonly ReadOnlyMount[] | null {
  if (isOfSystem(binary)) return [];
  const folder = dirname(dirname(binary));
  const paths = parts.map((part) => join(folder, part));
  return paths.every(existsSync) ? paths.map((hostPath) => ({ hostPath })) : null;
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
