import { readdirSync, watch } from "node:fs";

/** Resolves as soon as `folder` holds the entries that are waited for; woken by the file system, not by a clock. */
export async function untilEntries(
  folder: string,
  isWanted: (names: readonly string[]) => boolean,
): Promise<void> {
  const wanted = Promise.withResolvers<void>();
  const look = () => {
    if (isWanted(readdirSync(folder))) wanted.resolve();
  };
  const watcher = watch(folder, look);
  try {
    look();
    await wanted.promise;
  } finally {
    watcher.close();
  }
}
