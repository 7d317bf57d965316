import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const PROJECT = join(import.meta.dir, "../..");

/** One complaint of oxlint; `line` counts from 1. */
export interface Complaint {
  readonly rule: string;
  readonly line: number;
}

/**
 * Lints `files` (path to source) with this project's .oxlintrc.json and tsconfig.json, in a directory of their own.
 * Answers with each file's complaints; a file without any has an empty list.
 */
export async function lintTree(
  files: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, readonly Complaint[]>> {
  const tree = await mkdtemp(join(tmpdir(), "lint-tree-"));
  try {
    for (const name of [".oxlintrc.json", "tsconfig.json"])
      await cp(join(PROJECT, name), join(tree, name));
    await symlink(join(PROJECT, "node_modules"), join(tree, "node_modules"));
    for (const [path, source] of files) {
      await mkdir(dirname(join(tree, path)), { recursive: true });
      await writeFile(join(tree, path), source);
    }
    const complaints = new Map<string, Complaint[]>([...files.keys()].map((path) => [path, []]));
    for (const { filename, code, labels } of runOxlint(tree))
      complaints.get(filename)?.push({ rule: code, line: labels[0]?.span.line ?? 0 });
    return complaints;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

/** The part that is read of an entry in the report of `oxlint --format=json`. */
interface Diagnostic {
  readonly code: string;
  readonly filename: string;
  readonly labels: readonly { readonly span: { readonly line: number } }[];
}

function runOxlint(directory: string): readonly Diagnostic[] {
  // Through `bun run`, which stands in for Node where there is none: oxlint's type-aware part is started by a script.
  const command = [process.execPath, "run", "--silent", "oxlint", "--format=json"];
  const run = Bun.spawnSync(command, { cwd: directory });
  const report = JSON.parse(run.stdout.toString()) as {
    readonly diagnostics: readonly Diagnostic[];
  };
  return report.diagnostics;
}
