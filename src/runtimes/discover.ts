import { MIB, type Limits } from "../jobs/limits.ts";
import type { Guest, Sandbox } from "../sandbox/sandbox.ts";
import { bun, deno, node } from "./builtin/javascript.ts";
import { python } from "./builtin/python.ts";
import { bash, sh } from "./builtin/shell.ts";
import type { Candidate, HostPlaces, Language } from "./builtin/language.ts";
import { installSupport } from "./builtin/support.ts";
import type { InstalledRuntime } from "./runtime.ts";

/*
 * Finds the languages of this machine. A binary that is there may still be of no use to a job (below a home directory
 * that its uid cannot enter, a broken installation, killed by the memory limit): each one runs a program inside the
 * sandbox, the way jobs will, before it is offered.
 */

export interface Discovery {
  readonly sandbox: Sandbox;
  /** The value of PATH. */
  readonly searchPath: string;
  readonly homeDirectory: string;
  /** A directory of this process where guests' uids can reach, at a path that is not a guest's own (/work). */
  readonly runtimeDir: string;
}

/** In the order in which they are listed, and chosen for an extension that several have. */
const LANGUAGES: readonly Language[] = [python, node, bun, deno, bash, sh];
const USUAL_DIRECTORIES = ["/usr/local/bin", "/usr/bin", "/bin"];
/** The defaults of a job, under which each runtime must be able to say hello. */
const TRIAL_LIMITS: Limits = {
  memoryBytes: 512 * MIB,
  cpuSec: 60,
  processes: 64,
  diskBytes: 256 * MIB,
  outputBytes: MIB,
};
const TRIAL_DEADLINE_MS = 10_000;
const MAX_VERSION_LENGTH = 64;

/** What can run jobs here, tried just now. Empty when nothing can; throws only when `runtimeDir` cannot be written. */
export async function discoverRuntimes(discovery: Discovery): Promise<readonly InstalledRuntime[]> {
  await installSupport(discovery.runtimeDir);
  const directories = discovery.searchPath.split(":").filter((each) => each.startsWith("/"));
  const places: HostPlaces = {
    binDirectories: [...new Set([...directories, ...USUAL_DIRECTORIES])],
    homeDirectory: discovery.homeDirectory,
  };
  const found = await Promise.all(
    LANGUAGES.map((language) => tryLanguage(language, places, discovery)),
  );
  return found.flat();
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
    const runtime = { ...described, version: "", aliases: [], extensions: language.extensions };
    const version = await tryRuntime(runtime, language, discovery);
    if (version !== null) return { candidate, runtime: { ...runtime, version } };
  }
  return null;
}

/** The version that the runtime prints as a job; null when it cannot run one. */
async function tryRuntime(
  runtime: InstalledRuntime,
  language: Language,
  { sandbox, runtimeDir }: Discovery,
): Promise<string | null> {
  const trial = language.trial(runtimeDir);
  const source = new TextEncoder().encode(trial.source);
  let guest: Guest;
  try {
    guest = await sandbox.start({
      argv: runtime.argv(trial.entry, trial.args ?? []),
      env: runtime.env({}),
      stdin: new Uint8Array(0),
      inputs: [
        {
          path: trial.entry,
          sizeBytes: source.length,
          bytes: () =>
            (async function* () {
              yield await Promise.resolve(source);
            })(),
        },
      ],
      mounts: runtime.mounts,
      limits: TRIAL_LIMITS,
      memoryLimit: runtime.memoryLimit,
      memoryReserveBytes: runtime.memoryReserveBytes ?? 0,
      slot: 0,
    });
  } catch {
    // It cannot be mounted or started: not a runtime of this machine's jobs.
    return null;
  }
  // A pipe that ends is what is waited for, and taking the guest down ends it.
  const deadline = setTimeout(() => void guest.destroy(), TRIAL_DEADLINE_MS);
  try {
    const [stdout, , exit] = await Promise.all([
      new Response(guest.stdout).text(),
      new Response(guest.stderr).text(),
      guest.exited,
    ]);
    const version = stdout.split("\n", 1)[0]?.trim() ?? "";
    const plausible = version !== "" && version.length <= MAX_VERSION_LENGTH;
    if (exit?.exitCode !== 0 || !plausible) return null;
    await keepFiles(guest, language, runtimeDir);
    return version;
  } finally {
    clearTimeout(deadline);
    await guest.destroy();
  }
}

/** Never throws: jobs run without what a trial has left for them, only slower. */
async function keepFiles(guest: Guest, language: Language, runtimeDir: string): Promise<void> {
  if (language.keep === undefined) return;
  try {
    for await (const { path, bytes } of guest.outputs()) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      await language.keep(runtimeDir, path, Buffer.concat(chunks));
    }
  } catch {
    // It was cut off, or cannot be written.
  }
}
