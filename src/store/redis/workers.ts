import type { WorkerInfo } from "../store.ts";
import { WORKER_PRESENT_MS } from "../timing.ts";
import type { Context } from "./context.ts";

/** Store.announceWorker */
export async function announceWorker({ data, keys }: Context, info: WorkerInfo): Promise<void> {
  const { owner, slots, runtimes } = info;
  const json = JSON.stringify({ owner, slots, runtimes } satisfies WorkerInfo);
  await data.script("announce", [keys.workers, keys.workersSeen], [owner, json, WORKER_PRESENT_MS]);
}

/** Store.workers */
export async function workers({ data, keys }: Context): Promise<readonly WorkerInfo[]> {
  const infos = await data.script("workers", [keys.workers, keys.workersSeen], [WORKER_PRESENT_MS]);
  return (infos as readonly string[]).map((json) => JSON.parse(json) as WorkerInfo);
}
