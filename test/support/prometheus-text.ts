/*
 * A strict reader of Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format). It refuses more than a server does:
 * whatever a scrape could stumble over throws.
 */

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

interface Family {
  readonly name: string;
  readonly type: string;
  readonly samples: Sample[];
}

const TYPES = new Set(["counter", "gauge", "histogram"]);
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/;

/** What a scrape has said. */
export class Scrape {
  readonly #families = new Map<string, Family>();

  /** Throws where the text is not what the format asks for. */
  constructor(text: string) {
    if (!text.endsWith("\n")) throw new Error("The last line has no end");
    let family: Family | undefined;
    let helped = "";
    for (const line of text.split("\n").slice(0, -1)) {
      const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
      if (keyword === "HELP") helped = name;
      else if (keyword === "TYPE") family = this.#begin(name, rest, helped);
      else if (line !== "") addTo(family, line);
    }
    for (const each of this.#families.values()) check(each);
  }

  #begin(name: string, type: string, helped: string): Family {
    if (name !== helped) throw new Error(`${name} has no HELP before its TYPE`);
    if (!TYPES.has(type)) throw new Error(`${name} has the type ${type}`);
    if (this.#families.has(name)) throw new Error(`${name} is begun twice`);
    const family = { name, type, samples: [] };
    this.#families.set(name, family);
    return family;
  }

  has(name: string): boolean {
    return this.#families.has(name);
  }

  /** The names of all families. */
  names(): readonly string[] {
    return [...this.#families.keys()];
  }

  /** The families that have samples, with the names of their labels. */
  labelled(): readonly { readonly name: string; readonly labels: readonly string[] }[] {
    return [...this.#families.values()].flatMap(({ name, samples: [first] }) =>
      first === undefined ? [] : { name, labels: Object.keys(first.labels) },
    );
  }

  /** The sum of the samples of this name that carry these labels; 0 where there is none (yet). */
  sum(name: string, labels: Labels = {}): number {
    return this.#samples(name)
      .filter((sample) => Object.entries(labels).every(([key, of]) => sample.labels[key] === of))
      .reduce((total, { value }) => total + value, 0);
  }

  /** Every sample of this name that is not 0, keyed by the values of its labels with a space between. */
  nonZero(name: string): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.#samples(name)
        .filter(({ value }) => value !== 0)
        .map(({ labels, value }) => [Object.values(labels).join(" "), value]),
    );
  }

  #samples(name: string): readonly Sample[] {
    return [...this.#families.values()]
      .flatMap(({ samples }) => samples)
      .filter((sample) => sample.name === name);
  }
}

function addTo(family: Family | undefined, line: string): void {
  const [, name = "", labelText = "", value = ""] = SAMPLE.exec(line) ?? [];
  if (name === "") throw new Error(`No sample: ${line}`);
  if (!/^(\+Inf|-?\d+(\.\d+)?(e[+-]?\d+)?)$/.test(value)) throw new Error(`No number: ${line}`);
  const base = family?.type === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name;
  if (family === undefined || base !== family.name) throw new Error(`Not below its TYPE: ${line}`);
  const sample = { name, labels: parseLabels(labelText), value: Number(value) };
  const key = keyOf(sample);
  if (family.samples.some((other) => keyOf(other) === key)) throw new Error(`Twice: ${line}`);
  family.samples.push(sample);
}

function parseLabels(text: string): Labels {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== "";) {
    const [whole, name = "", value = ""] = LABEL.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`No labels: ${text}`);
    if (name in labels) throw new Error(`The label ${name} is given twice: ${text}`);
    labels[name] = value;
    rest = rest.slice(whole.length);
  }
  return labels;
}

function keyOf({ name, labels }: Sample): string {
  return JSON.stringify([name, Object.entries(labels).toSorted()]);
}

function check({ name, type, samples }: Family): void {
  if ((type === "counter") !== name.endsWith("_total"))
    throw new Error(`${name} is a ${type}, but its name says otherwise`);
  if (type === "counter" && samples.some(({ value }) => value < 0))
    throw new Error(`${name} is below 0`);
  if (type !== "histogram") return;
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`);
  const counts = buckets.map(({ value }) => value);
  const bounds = buckets.map(({ labels }) => Number(labels["le"]?.replace("+Inf", "Infinity")));
  const isSorted = (numbers: readonly number[]) =>
    numbers.every((number, index) => index === 0 || number >= (numbers[index - 1] ?? 0));
  const count = samples.find((sample) => sample.name === `${name}_count`)?.value;
  const sum = samples.find((sample) => sample.name === `${name}_sum`)?.value;
  if (!isSorted(counts) || !isSorted(bounds) || bounds.at(-1) !== Number.POSITIVE_INFINITY)
    throw new Error(`The buckets of ${name} are out of order`);
  if (count !== counts.at(-1) || sum === undefined)
    throw new Error(`The count or the sum of ${name} does not fit its buckets`);
}
