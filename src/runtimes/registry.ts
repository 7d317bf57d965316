import { extname } from "node:path";
import { AppError } from "../errors.ts";

/*
 * Which of the runtimes that are present runs a job. Pure: the same list and question give the same answer, on the API
 * process that promises a runtime and on the worker that keeps the promise.
 */

/** What a choice needs to know of a runtime, installed here or announced by a worker. */
export interface RuntimeNames {
  readonly name: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly extensions: readonly string[];
}

interface RuntimeAnswer<R> {
  readonly runtime: R;
  /** What the user should know of the choice; empty when it is what was asked for. */
  readonly warnings: readonly string[];
}

export interface RuntimeRegistry<R extends RuntimeNames> {
  /** All of them; of two that share an extension, the one that an entry chooses is first. */
  list(): readonly R[];
  /**
   * The runtime called `name`, or where that is undefined the one for the extension of `entry`. Throws AppError
   * `unknown_runtime` with the pointer of the field that is to blame, listing what is present.
   */
  resolve(name: string | undefined, entry: string): RuntimeAnswer<R>;
}

export interface RegistryOptions {
  /** true: an absent minor version is refused in place of running on the nearest one. */
  readonly strict: boolean;
}

/** A name with a minor version, e.g. `python3.12`: family, major, minor. */
const MINOR_NAME = /^([a-z]+)(\d{1,4})\.(\d{1,4})$/;

/** The choice among `runtimes`, whose order says which of several is meant by an extension. */
export function createRuntimeRegistry<R extends RuntimeNames>(
  runtimes: readonly R[],
  options: RegistryOptions,
): RuntimeRegistry<R> {
  const named = (name: string) =>
    runtimes.find((each) => each.name === name) ??
    runtimes.find((each) => each.aliases.includes(name));
  return {
    list: () => runtimes,
    resolve(name, entry) {
      if (name === undefined) return { runtime: forEntry(runtimes, entry), warnings: [] };
      const exact = named(name);
      if (exact !== undefined) return { runtime: exact, warnings: [] };
      const nearest = options.strict ? undefined : nearestMinor(runtimes, name);
      if (nearest === undefined) throw unknownRuntime(runtimes, name);
      return {
        runtime: nearest,
        warnings: [`${name} is not installed here; the job runs on ${nearest.name} instead.`],
      };
    },
  };
}

function forEntry<R extends RuntimeNames>(runtimes: readonly R[], entry: string): R {
  const extension = extname(entry).toLowerCase();
  const found = runtimes.find((each) => each.extensions.includes(extension));
  if (found !== undefined) return found;
  const reason =
    extension === ""
      ? `The entry ${JSON.stringify(entry)} has no extension that would choose a runtime; name one in "runtime".`
      : `No installed runtime is chosen by the extension ${JSON.stringify(extension)}; name one in "runtime".`;
  throw refusal("/spec/entry", `${reason} ${presentOnes(runtimes)}`);
}

/** The installed one of the same family and major whose minor is nearest; of two as near, the newer. */
function nearestMinor<R extends RuntimeNames>(
  runtimes: readonly R[],
  wanted: string,
): R | undefined {
  const [, family, major, minor] = MINOR_NAME.exec(wanted) ?? [];
  let best: { readonly runtime: R; readonly distance: number; readonly minor: number } | undefined;
  for (const runtime of runtimes) {
    const [, itsFamily, itsMajor, itsMinor] = MINOR_NAME.exec(runtime.name) ?? [];
    if (itsFamily === undefined || itsFamily !== family || Number(itsMajor) !== Number(major))
      continue;
    const candidate = {
      runtime,
      distance: Math.abs(Number(itsMinor) - Number(minor)),
      minor: Number(itsMinor),
    };
    const nearer =
      best === undefined ||
      candidate.distance < best.distance ||
      (candidate.distance === best.distance && candidate.minor > best.minor);
    if (nearer) best = candidate;
  }
  return best?.runtime;
}

function unknownRuntime(runtimes: readonly RuntimeNames[], name: string): AppError {
  return refusal(
    "/spec/runtime",
    `The runtime ${JSON.stringify(name)} is not installed. ${presentOnes(runtimes)}`,
  );
}

function refusal(pointer: string, detail: string): AppError {
  return new AppError("unknown_runtime", `${pointer}: ${detail}`, {
    fields: [{ pointer, detail }],
  });
}

function presentOnes(runtimes: readonly RuntimeNames[]): string {
  if (runtimes.length === 0) return "No runtime is installed here.";
  const names = runtimes.map(({ name, aliases }) =>
    aliases.length === 0 ? name : `${name} (${aliases.join(", ")})`,
  );
  return `Installed: ${names.join(", ")}.`;
}
