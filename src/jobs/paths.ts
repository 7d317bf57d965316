/** Longest path and deepest nesting of a job's file; well under PATH_MAX (4096) with the working directory in front. */
const MAX_PATH_BYTES = 1024;
const MAX_COMPONENT_BYTES = 255;
const MAX_DEPTH = 32;

export type PathCheck =
  { readonly ok: true; readonly path: string } | { readonly ok: false; readonly problem: string };

const encoder = new TextEncoder();

function refuse(problem: string): PathCheck {
  return { ok: false, problem };
}

/**
 * Checks a path that a user gave and brings it into its one spelling: relative, `/` between components, no `.` or empty
 * component. Refuses what could name anything outside the working directory.
 */
export function checkRelativePath(given: string): PathCheck {
  if (given === "") return refuse("The path is empty.");
  const quoted = JSON.stringify(given.slice(0, 200));
  if (given.includes("\0")) return refuse(`The path ${quoted} contains a NUL.`);
  if (!given.isWellFormed()) return refuse(`The path ${quoted} is not valid Unicode.`);
  if (given.startsWith("/")) return refuse(`The path ${quoted} is absolute; it must be relative.`);
  if (given.endsWith("/")) return refuse(`The path ${quoted} names a directory, not a file.`);
  const components = given.split("/").filter((component) => component !== "" && component !== ".");
  if (components.includes("..")) return refuse(`The path ${quoted} contains "..".`);
  if (components.length === 0) return refuse(`The path ${quoted} names no file.`);
  if (components.length > MAX_DEPTH)
    return refuse(`The path ${quoted} is nested deeper than ${MAX_DEPTH} directories.`);
  if (components.some((component) => encoder.encode(component).length > MAX_COMPONENT_BYTES))
    return refuse(`The path ${quoted} has a component longer than ${MAX_COMPONENT_BYTES} bytes.`);
  const path = components.join("/");
  if (encoder.encode(path).length > MAX_PATH_BYTES)
    return refuse(`The path ${quoted} is longer than ${MAX_PATH_BYTES} bytes.`);
  return { ok: true, path };
}

/**
 * The first of these paths that cannot be a file beside the others, with the reason: it is there twice, or another one
 * needs it to be a directory. null when all can be files of one directory tree.
 */
export function findPathConflict(
  paths: readonly string[],
): { readonly path: string; readonly problem: string } | null {
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) return { path, problem: `Two files are named ${JSON.stringify(path)}.` };
    seen.add(path);
  }
  for (const path of paths) {
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const parent = path.slice(0, slash);
      const problem = `${JSON.stringify(parent)} is a file, but ${JSON.stringify(path)} needs it to be a directory.`;
      if (seen.has(parent)) return { path, problem };
    }
  }
  return null;
}
