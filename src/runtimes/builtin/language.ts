import type { LanguageName } from "../../jobs/languages.ts";
import type { InstalledRuntime } from "../runtime.ts";

/** Where to look for the programs of this machine. */
export interface HostPlaces {
  /** Directories of PATH, then the usual ones, existing or not, in the order in which they are preferred. */
  readonly binDirectories: readonly string[];
  readonly homeDirectory: string;
}

/** A program that may turn out to be usable. */
export interface Candidate {
  /** The real binary, no shim and no link. */
  readonly binary: string;
  /** What it would be called, e.g. `python3.11`. Of several that work, the first one found gets the name. */
  readonly name: string;
  /** true for the one that PATH means by the language's plain name; it gets the language's aliases. */
  readonly isDefault: boolean;
}

/** A language as one file of builtin/ knows it. */
export interface Language {
  /** What users call it; a name or an alias of its default runtime. */
  readonly name: LanguageName;
  /** A command that gets it onto this machine. */
  readonly hint: string;
  /** Possible programs, best first. Only looks; runs nothing. */
  candidates(places: HostPlaces): Promise<readonly Candidate[]>;
  trial(supportDirectory: string): Trial;
  /**
   * Called for each file that the trial has left in its working directory, by its path there. Absent: they are of no use.
   */
  keep?(supportDirectory: string, path: string, bytes: Uint8Array): Promise<void>;
  /**
   * How jobs run with it; null when guests could only see it together with what they must not see. `supportDirectory`
   * holds this service's own files for guests.
   */
  describe(
    candidate: Candidate,
    supportDirectory: string,
  ): Omit<InstalledRuntime, "version" | "aliases" | "extensions"> | null;
  readonly extensions: readonly string[];
  /** Extensions that a version of it can run as well, and is chosen for where nothing else here is. */
  readonly spareExtensions?: (version: string) => readonly string[];
  /** Names that the default one of this language has beside its own. */
  readonly defaultAliases: readonly string[];
}

/** A program that is run once, before any job, and whose first line of output is the runtime's version. */
export interface Trial {
  readonly entry: string;
  readonly source: string;
  readonly args?: readonly string[];
  /** What is run as the compiler would be, where to compile the program and run it takes seconds, or tells no version. */
  readonly argv?: (binary: string) => readonly string[];
}
