import { accessSync, constants, mkdirSync } from "node:fs";

import { openSandbox } from "./compose.ts";
import type { Config } from "./config.ts";
import { messageOf } from "./errors.ts";
import { absentLanguages } from "./runtimes/languages.ts";
import type { InstalledRuntime } from "./runtimes/runtime.ts";
import type { SandboxStatus } from "./sandbox/sandbox.ts";

/*
 * `doctor`: what of this service works on this machine, a line each, with the remedy of what does not. It runs the same
 * self-test and the same trial programs as a start, and needs no store.
 */

type Verdict = "ok" | "weak" | "absent" | "BROKEN";

interface Finding {
  readonly verdict: Verdict;
  readonly text: string;
}

/** Prints the findings on stdout. Resolves to the exit code: 0 when jobs can run here, else 1. */
export async function examine(config: Config): Promise<number> {
  const findings = [dataFolder(config), ...(await sandboxFindings(config))];
  for (const { verdict, text } of findings)
    process.stdout.write(`${verdict.padEnd("BROKEN".length)}  ${text}\n`);
  return findings.some(({ verdict }) => verdict === "BROKEN") ? 1 : 0;
}

function dataFolder({ jobDataDir }: Config): Finding {
  try {
    mkdirSync(jobDataDir, { recursive: true, mode: 0o700 });
    accessSync(jobDataDir, constants.W_OK);
    return { verdict: "ok", text: `The data folder ${jobDataDir} can be written.` };
  } catch (error) {
    return {
      verdict: "BROKEN",
      text: `The data folder cannot be used: ${messageOf(error)}. Make it writable for this user, or set JOB_DATA_DIR.`,
    };
  }
}

async function sandboxFindings(config: Config): Promise<readonly Finding[]> {
  try {
    const opened = await openSandbox(config, null);
    try {
      const status = await opened.sandbox.selfTest();
      const found = statusFindings(status, config);
      if (!status.ready) return found;
      return [...found, ...runtimeFindings(await opened.findRuntimes(), config)];
    } finally {
      await opened.close();
    }
  } catch (error) {
    return [{ verdict: "BROKEN", text: `The sandbox cannot be tried: ${messageOf(error)}` }];
  }
}

function statusFindings(status: SandboxStatus, config: Config): readonly Finding[] {
  const { problems, gaps, cgroup, seccomp } = status;
  const good = (isSo: boolean, text: string): Finding[] => (isSo ? [{ verdict: "ok", text }] : []);
  const isWalled = status.ready && status.driver === "bwrap";
  return [
    ...problems.map((text) => ({ verdict: "BROKEN", text }) as const),
    ...good(isWalled, "A program that tried to get out of the sandbox did not."),
    ...good(isWalled, `Programs run as ${guestUser(config)}.`),
    ...good(isWalled && seccomp, "System calls are filtered."),
    ...good(isWalled && cgroup !== null, `Limits hold for a whole job, by cgroup ${cgroup}.`),
    ...gaps.map((text) => ({ verdict: "weak", text }) as const),
  ];
}

function guestUser({ sandboxUids }: Config): string {
  if (process.getuid?.() !== 0 || sandboxUids === undefined) return "this service's own user";
  return `uids ${sandboxUids.first}-${sandboxUids.last}, one for each job`;
}

function runtimeFindings(
  installed: readonly InstalledRuntime[],
  { languages }: Config,
): readonly Finding[] {
  const names = installed.map(({ name }) => name).join(", ");
  const found: Finding =
    names === ""
      ? { verdict: "BROKEN", text: "No language was found to run programs with: install python3." }
      : { verdict: "ok", text: `These run programs: ${names}.` };
  const absent = absentLanguages(installed, languages).map(
    ({ name, hint }) => ({ verdict: "absent", text: `${name}: ${hint}` }) as const,
  );
  return [found, ...installerFindings(installed), ...absent];
}

/** Nothing where jobs have no network, without which nothing is installed for them. */
function installerFindings(installed: readonly InstalledRuntime[]): readonly Finding[] {
  const manifests = installed.flatMap(({ name, install }) =>
    install === undefined ? [] : [`${name} (${install.manifests[0]})`],
  );
  if (manifests.length === 0) return [];
  return [{ verdict: "ok", text: `Dependencies are installed for ${manifests.join(", ")}.` }];
}
