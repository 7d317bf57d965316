/*
 * Programs that look at how they were started. Each must behave in an interpreter that was started ahead as in a fresh one
 * (e2e/warm.test.ts).
 */

export interface WarmProgram {
  /** Unique; names the test. */
  readonly name: string;
  readonly spec: { readonly entry: string } & Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;
  /** Stands in what it prints: two programs that break alike prove nothing. */
  readonly shows: string;
  /** What the pool starts it on. */
  readonly on: "interpreter" | "sandbox";
}

interface Options {
  readonly entry?: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Beside the entry. */
  readonly files?: WarmProgram["files"];
  readonly on?: WarmProgram["on"];
}

/** Makes programs of one language, whose entry has this name where none is given. */
export function programsOf(defaultEntry: string, defaultOn: WarmProgram["on"] = "interpreter") {
  return (
    name: string,
    shows: string,
    source: string | Uint8Array<ArrayBuffer>,
    { entry = defaultEntry, spec, files, on = defaultOn }: Options = {},
  ): WarmProgram => ({
    name: `${defaultEntry.replace(/.*\./, "")}: ${name}`,
    spec: { entry, ...spec },
    files: { ...files, [entry]: source },
    shows,
    on,
  });
}
