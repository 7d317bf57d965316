import type { LanguageName } from "../jobs/languages.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Candidate, HostPlaces, Language } from "./builtin/language.ts";
import { installSupport } from "./builtin/support.ts";
import { LANGUAGES } from "./languages.ts";
import type { InstalledRuntime } from "./runtime.ts";
import { tryRuntime } from "./trial.ts";

/*
 * Finds the languages of this machine. A binary that is there may still be of no use to a job (below a home directory
 * that its uid cannot enter, a broken installation, killed by the memory limit): each one runs a program inside the
 * sandbox, the way jobs will, before it is offered.
 */

export interface Discovery {
  /** Of these alone. */
  readonly languages: readonly LanguageName[];
  readonly sandbox: Sandbox;
  /** The value of PATH. */
  readonly searchPath: string;
  readonly homeDirectory: string;
  /** A directory of this process where guests' uids can reach, at a path that is not a guest's own (/work). */
  readonly runtimeDir: string;
  /** Jobs may have a network, without which nothing can be installed for them. */
  readonly mayInstall: boolean;
}

const USUAL_DIRECTORIES = ["/usr/local/bin", "/usr/bin", "/bin"];

/** What can run jobs here, tried just now. Empty when nothing can; throws only when `runtimeDir` cannot be written. */
export async function discoverRuntimes(discovery: Discovery): Promise<readonly InstalledRuntime[]> {
  await installSupport(discovery.runtimeDir);
  const directories = discovery.searchPath.split(":").filter((each) => each.startsWith("/"));
  const places: HostPlaces = {
    binDirectories: [...new Set([...directories, ...USUAL_DIRECTORIES])],
    homeDirectory: discovery.homeDirectory,
  };
  const found = await Promise.all(
    LANGUAGES.filter(({ name }) => discovery.languages.includes(name)).map(async (language) => ({
      language,
      runtimes: await tryLanguage(language, places, discovery),
    })),
  );
  const chosen = new Set(
    found.flatMap(({ runtimes }) => runtimes.flatMap(({ extensions }) => extensions)),
  );
  return found.flatMap(({ language, runtimes }) =>
    runtimes.map((runtime) => withSpareExtensions(language, runtime, chosen)),
  );
}

/** The runtime, chosen for those extensions as well that it can run and nothing else is `chosen` for. */
function withSpareExtensions(
  { spareExtensions }: Language,
  runtime: InstalledRuntime,
  chosen: ReadonlySet<string>,
): InstalledRuntime {
  const spare = spareExtensions?.(runtime.version).filter((each) => !chosen.has(each)) ?? [];
  return { ...runtime, extensions: [...runtime.extensions, ...spare] };
}

interface Tried {
  readonly candidate: Candidate;
  readonly runtime: InstalledRuntime;
}

/** One runtime per name, the default first, then by version, newest first. */
async function tryLanguage(
  language: Language,
  places: HostPlaces,
  discovery: Discovery,
): Promise<readonly InstalledRuntime[]> {
  const byName = Map.groupBy(await language.candidates(places), ({ name }) => name);
  const tried = await Promise.all(
    [...byName.values()].map((candidates) => firstUsable(language, candidates, discovery)),
  );
  const usable = tried.filter((each) => each !== null).sort((a, b) => compareForDefault(a, b));
  return usable.map(({ runtime }, index) => ({
    ...runtime,
    aliases: index === 0 ? language.defaultAliases : [],
  }));
}

function compareForDefault(a: Tried, b: Tried): number {
  return (
    Number(b.candidate.isDefault) - Number(a.candidate.isDefault) ||
    b.runtime.version.localeCompare(a.runtime.version, "en", { numeric: true })
  );
}

async function firstUsable(
  language: Language,
  candidates: readonly Candidate[],
  discovery: Discovery,
): Promise<Tried | null> {
  for (const candidate of candidates) {
    const described = language.describe(candidate, discovery.runtimeDir);
    if (described === null) continue;
    const { install, ...others } = described;
    const runtime = {
      ...others,
      ...(install !== undefined && discovery.mayInstall ? { install } : {}),
      version: "",
      aliases: [],
      extensions: language.extensions,
    };
    const version = await tryRuntime(runtime, language, discovery);
    if (version !== null) return { candidate, runtime: { ...runtime, version } };
  }
  return null;
}
