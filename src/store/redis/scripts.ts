import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { messageOf } from "../../errors.ts";

/** Each step is one script, described at the head of its file in scripts/. */
const NAMES = [
  "announce",
  "append",
  "beat",
  "cancel",
  "claim",
  "finish",
  "open",
  "ping",
  "position",
  "release",
  "release-owner",
  "remove",
  "settle-callback",
  "stats",
  "submit",
  "sweep",
  "take-callbacks",
  "workers",
] as const;
export type ScriptName = (typeof NAMES)[number];

interface Script {
  readonly source: string;
  readonly sha1: string;
}

function readScript(name: string): string {
  const text = readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), "utf8");
  return text.replace(/^-- include (\w+)\.lua\n/gm, (_, included: string) => readScript(included));
}

function loadScripts(): ReadonlyMap<ScriptName, Script> {
  return new Map(
    NAMES.map((name) => {
      const source = readScript(name);
      return [name, { source, sha1: createHash("sha1").update(source).digest("hex") }];
    }),
  );
}

const scripts = loadScripts();

/** By which a script is called once the server knows it. */
export function hashOf(name: ScriptName): string {
  return scriptOf(name).sha1;
}

function scriptOf(name: ScriptName): Script {
  const script = scripts.get(name);
  if (script === undefined) throw new Error(`No script ${name}`);
  return script;
}

/**
 * Runs a script by its hash; a server that does not know it (new, restarted, SCRIPT FLUSH) is sent its text once.
 * Every script is called with all its keys that are known before it runs, so that a Cluster finds their slot.
 */
export async function callScript(
  client: Redis,
  name: ScriptName,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  const script = scriptOf(name);
  try {
    return await client.evalsha(script.sha1, keys.length, ...keys, ...args);
  } catch (error) {
    if (!messageOf(error).startsWith("NOSCRIPT")) throw error;
    return await client.eval(script.source, keys.length, ...keys, ...args);
  }
}
