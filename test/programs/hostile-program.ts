import { expect } from "bun:test";

import type { JobJson } from "../support/client.ts";

/*
 * The format of the corpus: what an attacker would send, and what has to come of it. One list of entries serves the test
 * that runs them (e2e/hostile.test.ts) and the table in SECURITY.md (table.ts).
 */

interface Described {
  /** Unique in the corpus; names the test. */
  readonly name: string;
  /** One sentence: what it attempts. */
  readonly tries: string;
  /** One sentence: what happens instead. */
  readonly safeOutcome: string;
}

/** How a job ended: what of its record tells that, so that a failed expectation shows it at a glance. */
export interface Ended extends Pick<
  JobJson,
  | "id"
  | "status"
  | "reason"
  | "attempt"
  | "exit_code"
  | "signal"
  | "oom"
  | "usage"
  | "error"
  | "log"
  | "artifacts"
  | "warnings"
> {
  /** Its whole log, stdout and stderr in order of arrival. */
  readonly printed: string;
}

/** The service that is attacked, and what lies about for programs to find. */
export interface World {
  readonly url: string;
  /** Whether the kernel's own accounting stands behind the limits; without it they are per process, and polled. */
  readonly hasCgroup: boolean;
  readonly baits: Baits;
}

/** What no program may reach. Each gets all of it in its environment but the secret: it knows where to aim. */
export interface Baits {
  /** Stands in the service's environment, in a host file that all may read, and all over another job. */
  readonly secret: string;
  readonly env: Readonly<Record<string, string>>;
  /** Connections and datagrams that the test's listeners on this host have had. */
  visits(): readonly string[];
}

export interface HostileProgram extends Described {
  /** Over DEFAULT_SPEC; `limits` are merged, and the baits go into `env`. */
  readonly spec: { readonly entry: string } & Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, string>>;
  /** Throws when the outcome is not the safe one. */
  readonly expect: (ended: Ended, world: World) => void | Promise<void>;
}

/** A call, or several, whose answer is the outcome. */
export interface HostileRequest extends Described {
  /** Throws when the outcome is not the safe one. */
  readonly attempt: (world: World) => Promise<void>;
}

export type HostileEntry = HostileProgram | HostileRequest;

export interface Theme {
  readonly title: string;
  readonly entries: readonly HostileEntry[];
}

export const DEFAULT_SPEC = { timeout_sec: 10 } as const;
/** Small, so that a program meets them soon. */
export const DEFAULT_LIMITS = {
  memory_mb: 128,
  cpu_sec: 10,
  processes: 32,
  disk_mb: 16,
  output_mb: 2,
} as const;

type Options = Described & {
  readonly source: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Beside the entry. */
  readonly files?: Readonly<Record<string, string>>;
  readonly expect: HostileProgram["expect"];
};

function program(entry: string, { source, spec, files, ...rest }: Options): HostileProgram {
  return { ...rest, spec: { entry, ...spec }, files: { ...files, [entry]: source } };
}

export const python = (options: Options) => program("main.py", options);
export const bash = (options: Options) => program("main.sh", options);
export const javascript = (options: Options) => program("main.js", options);

/** For programs that print `name: ERRNO` an attempt, or `name: done` where it went through. */
export const ATTEMPTS_PY = `
import errno, os

def attempt(name, act):
    try:
        act()
    except OSError as error:
        print(name + ": " + errno.errorcode.get(error.errno, str(error)), flush=True)
    except ValueError as error:
        print(name + ": refused", flush=True)
    else:
        print(name + ": done", flush=True)
`;

/** A Python program of such attempts. */
export function attempts(options: Options): HostileProgram {
  return python({
    ...options,
    source: `from attempts import *\n${options.source}`,
    files: { ...options.files, "attempts.py": ATTEMPTS_PY },
  });
}

/** What a program of attempts printed, by name. */
export function resultsOf({ printed }: Ended): Readonly<Record<string, string>> {
  return Object.fromEntries(
    printed
      .trimEnd()
      .split("\n")
      .map((line): [string, string] => {
        const colon = line.lastIndexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }),
  );
}

/** Every attempt that was made was answered as expected, and the program came to its end. */
export function refusedWith(errno: string, names: readonly string[]): HostileProgram["expect"] {
  return (ended) => {
    expect(resultsOf(ended)).toEqual(Object.fromEntries(names.map((name) => [name, errno])));
    expect(ended).toMatchObject({ status: "succeeded" });
  };
}

/** The program ran to its own end and printed exactly this. */
export function printedJust(printed: string): HostileProgram["expect"] {
  return (ended) => expect(ended).toMatchObject({ status: "succeeded", exit_code: 0, printed });
}

/** It was ended at its wall time. */
export const WALL_LIMIT = { status: "timed_out", reason: "wall_limit" } as const;
/** What a job of which nothing ran out of memory says of that. */
export function noOom({ hasCgroup }: World): false | null {
  return hasCgroup ? false : null;
}
