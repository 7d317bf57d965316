import { resolve } from "node:path";

import { secretOfKey, secretText } from "./callbacks/signature.ts";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { complain } from "./entry.ts";
import { newApiKey } from "./keys/api-key.ts";
import {
  type KeyCommand,
  keyTable,
  KEYS_USAGE,
  KeyUsageError,
  parseKeyCommand,
} from "./keys/command-line.ts";
import { changeKeyFile, KEY_FILE, KeyFileError, readKeyFile } from "./keys/key-file.ts";

/** Does what is asked, on stdout. Throws KeyFileError. */
async function run(command: KeyCommand, { callbackSecret, jobDataDir }: Config): Promise<void> {
  const path = resolve(jobDataDir, KEY_FILE);
  switch (command.kind) {
    case "help":
      process.stdout.write(KEYS_USAGE);
      return;
    case "list":
      process.stdout.write(keyTable([...(await readKeyFile(path)).values()]));
      return;
    case "create": {
      const { text, key } = newApiKey(command, Date.now());
      await changeKeyFile(path, (keys) => [...keys.values(), key]);
      // The key alone on stdout, for who puts it into a file; of the rest people want to know.
      process.stdout.write(`${text}\n`);
      complain(
        `The key ${key.id} may ${key.scopes.join(", ")}. It is shown this once, and noted in ${path}.`,
      );
      return;
    }
    case "callback-secret":
      if (callbackSecret === undefined)
        throw new KeyUsageError("CALLBACK_SECRET is not set: no callback is sent without it.");
      if (!(await readKeyFile(path)).has(command.id)) throw unknownKey(command.id, path);
      process.stdout.write(`${secretText(secretOfKey(callbackSecret, command.id))}\n`);
      return;
    case "revoke":
      await revoke(command.id, path);
      complain(`The key ${command.id} is revoked.`);
  }
}

/** A key that is revoked already keeps its time. */
async function revoke(id: string, path: string): Promise<void> {
  await changeKeyFile(path, (keys) => {
    if (!keys.has(id)) throw unknownKey(id, path);
    return [...keys.values()].map((key) =>
      key.id === id ? { ...key, revokedAtMs: key.revokedAtMs ?? Date.now() } : key,
    );
  });
}

function unknownKey(id: string, path: string): KeyFileError {
  return new KeyFileError(`There is no key ${id} in ${path}.`);
}

/** Resolves to the exit code: 0, 1 where it could not be done, 2 where it was not understood. */
async function exitCodeOf(args: readonly string[]): Promise<number> {
  try {
    const command = parseKeyCommand(args);
    await run(command, loadConfig());
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) for (const problem of error.problems) complain(problem);
    else if (error instanceof KeyUsageError || error instanceof KeyFileError)
      complain(error.message);
    else throw error;
    return error instanceof KeyFileError ? 1 : 2;
  }
}

process.exit(await exitCodeOf(process.argv.slice(2)));
