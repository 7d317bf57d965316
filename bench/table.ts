/*
 * The lines that the bench prints. Pure.
 */

/** One line: a figure, what it is compared with, and what it is to be. */
export interface Row {
  readonly what: string;
  /** Of every figure of the line, e.g. `ms` or `MB/s`. */
  readonly unit: string;
  /** The median of times, or a rate, or an amount. */
  readonly value: number;
  readonly p99?: number;
  /** The same work without this service, measured in the same run. */
  readonly yardstick?: Yardstick;
  readonly targets?: readonly Target[];
}

interface Yardstick {
  readonly name: string;
  readonly value: number;
}

/** A bound of one of a line's figures. */
export interface Target {
  /**
   * `ratio`: the value by the yardstick's; `excess`: the value less the yardstick's, in the line's unit; `spread`: the p99
   * by the value.
   */
  readonly of: "value" | "p99" | "ratio" | "excess" | "spread";
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** The lines as a table in Markdown. */
export function formatTable(rows: readonly Row[]): string {
  const head = ["what", "p50 or rate", "p99", "yardstick", "ratio", "target", "met"];
  const lines = [head, head.map(() => "---"), ...rows.map(cellsOf)];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function cellsOf(row: Row): readonly string[] {
  const { what, unit, value, p99, yardstick, targets = [] } = row;
  const withUnit = (figure: number) => `${formatFigure(figure)} ${unit}`;
  return [
    what,
    withUnit(value),
    p99 === undefined ? "" : withUnit(p99),
    yardstick === undefined ? "" : `${yardstick.name}: ${withUnit(yardstick.value)}`,
    yardstick === undefined ? "" : figureOf(row, "ratio").toFixed(2),
    targets.map((target) => formatTarget(row, target)).join(", "),
    targets.length === 0 ? "" : isMet(row) ? "yes" : "**no**",
  ];
}

/** Whether every target of a line is reached. A figure that could not be measured (NaN) reaches none. */
function isMet(row: Row): boolean {
  return (row.targets ?? []).every((target) => {
    const figure = figureOf(row, target.of);
    return (
      figure <= (target.atMost ?? Number.POSITIVE_INFINITY) &&
      figure >= (target.atLeast ?? Number.NEGATIVE_INFINITY)
    );
  });
}

function figureOf({ value, p99 = Number.NaN, yardstick }: Row, of: Target["of"]): number {
  const base = yardstick?.value ?? Number.NaN;
  switch (of) {
    case "value":
      return value;
    case "p99":
      return p99;
    case "ratio":
      return value / base;
    case "excess":
      return value - base;
    case "spread":
      return p99 / value;
  }
}

function formatTarget({ unit }: Row, { of, atMost, atLeast }: Target): string {
  const bound = atMost === undefined ? `>= ${atLeast}` : `<= ${atMost}`;
  switch (of) {
    case "value":
      return `${bound} ${unit}`;
    case "p99":
      return `p99 ${bound} ${unit}`;
    case "ratio":
      return `${bound} x`;
    case "excess":
      return `${bound} ${unit} more`;
    case "spread":
      return `p99 ${bound} x p50`;
  }
}

/** Three digits that say something. */
function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
