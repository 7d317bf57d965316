import { join } from "node:path";

import { CORPUS } from "./corpus.ts";

/*
 * The corpus as the table in SECURITY.md. `bun run test/programs/table.ts` prints it; with --write it is put between the
 * two marks of that file, where a test expects it.
 */

const SECURITY_FILE = join(import.meta.dir, "..", "..", "SECURITY.md");
const BEGIN = "<!-- corpus:begin -->\n";
const END = "<!-- corpus:end -->";

type Row = readonly [tries: string, happens: string];

/** The sections, each theme's entries in a table of its own. */
export function corpusTable(): string {
  const sections = CORPUS.map(({ title, entries }) => {
    const rows = entries.map(({ tries, safeOutcome }): Row => [cell(tries), cell(safeOutcome)]);
    return `### ${title}\n\n${table([["What it tries", "What happens"], ...rows])}\n`;
  });
  return `\n${sections.join("\n")}\n`;
}

/** What stands between the marks of SECURITY.md. Throws when a mark is missing. */
export async function writtenTable(): Promise<string> {
  const { text, from, to } = await findMarks();
  return text.slice(from, to);
}

async function findMarks() {
  const text = await Bun.file(SECURITY_FILE).text();
  const from = text.indexOf(BEGIN) + BEGIN.length;
  const to = text.indexOf(END);
  if (from < BEGIN.length || to < from) throw new Error(`${SECURITY_FILE} has lost its marks`);
  return { text, from, to };
}

function cell(sentence: string): string {
  return sentence.replaceAll("|", "\\|");
}

/** In the width that the formatter gives it. */
function table([head, ...rows]: readonly [Row, ...Row[]]): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [head, rule, ...rows].map(line).join("\n");
}

if (import.meta.main) {
  if (process.argv.includes("--write")) {
    const { text, from, to } = await findMarks();
    await Bun.write(SECURITY_FILE, text.slice(0, from) + corpusTable() + text.slice(to));
  } else process.stdout.write(corpusTable());
}
