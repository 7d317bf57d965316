import { basename, extname } from "node:path";
import { MIB } from "../../jobs/limits.ts";
import type { BuildNeeds, Program, Sources } from "../runtime.ts";
import { asPath } from "./find-binary.ts";

/*
 * What the languages with a compiler have in common.
 */

/** As much as a job that asks for nothing: compilers are larger than most of what they compile. */
export const COMPILER_NEEDS: BuildNeeds = {
  memoryBytes: 512 * MIB,
  processes: 64,
  diskBytes: 256 * MIB,
};

/** Where the program that is compiled from the entry goes: `.compiled/main` for `src/main.c`. */
export function programPath({ entry, folder }: Sources): string {
  return `${folder}/${stemOf(entry)}`;
}

/** A file's name without its extension. */
export function stemOf(path: string): string {
  return basename(path, extname(path));
}

/** Runs the one program that a compiler has made. */
export function runMade({ made: [program = ""], args }: Program): readonly string[] {
  return [asPath(program), ...args];
}
