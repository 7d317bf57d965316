import type { WorkerInfo } from "../store.ts";
import type { Context } from "./context.ts";

/** A worker that has not announced itself for so long is taken for gone (store.ts, workers). */
export const SILENT_AFTER_MS = 120_000;

/** Store.announceWorker */
export async function announceWorker({ data, keys }: Context, info: WorkerInfo): Promise<void> {
  const { owner, slots, runtimes } = info;
  const json = JSON.stringify({ owner, slots, runtimes } satisfies WorkerInfo);
  await data.script("announce", [keys.workers, keys.workersSeen], [owner, json, SILENT_AFTER_MS]);
}

/** Store.workers */
export async function workers({ data, keys }: Context): Promise<readonly WorkerInfo[]> {
  const infos = await data.script("workers", [keys.workers, keys.workersSeen], [SILENT_AFTER_MS]);
  return (infos as readonly string[]).map((json) => JSON.parse(json) as WorkerInfo);
}
