import { AppError } from "../../../src/errors.ts";
import { RESERVE_BYTES } from "../../../src/store/sqlite/reserve.ts";
import { openSqliteStore } from "../../../src/store/sqlite/open.ts";
import { EMPTY_LOG, newJob, runningJob, SUCCEEDED } from "../../contract/store-harness.ts";
import { statSync } from "node:fs";

/*
 * Fills the disk below its argument with a store, and says as JSON what can still be done then. Run by
 * full-disk.test.ts, on a disk of its own.
 */

const [directory] = process.argv.slice(2);
const path = `${directory}/jobs.sqlite`;
const reserveBytes = () => statSync(`${path}.reserve`).size;
const codeOf = (error: unknown) => (error instanceof AppError ? error.code : String(error));

const store = await openSqliteStore({ path });
const said: Record<string, unknown> = { wholeAtFirst: reserveBytes() === RESERVE_BYTES };
const running = [await runningJob(store, "w"), await runningJob(store, "w")] as const;
const [ending, handedBack] = running;
const big = newJob({ spec: { stdin: "x".repeat(200_000) } });
for (let code = ""; code !== "storage_full";)
  code = await store.submit({ ...big, id: crypto.randomUUID() }).then(() => "", codeOf);
// The last of it, in small pieces.
for (let code = ""; code !== "storage_full";)
  code = await store.submit(newJob()).then(() => "", codeOf);
const queued = (await store.list({ filter: { status: "queued" }, limit: 200 })).items;

// In one list, which finds no room: each of the two is then tried by itself.
const told: string[] = [];
const claiming = store.claim({ owner: "w", slot: 9, token: "t" }, ({ id }) => void told.push(id));
const [claimed] = await Promise.all([
  claiming.then(() => "claimed", codeOf),
  store.submit(big).then(() => "stored", codeOf),
]);
const statuses = await Promise.all(told.map(async (id) => (await store.get(id))?.status));
said["claim"] = [claimed, statuses];

const end = { ...ending, outcome: SUCCEEDED, lastSeq: 0, log: EMPTY_LOG };
said["finish"] = await store.finish(end).catch(codeOf);
await store.release(handedBack);
said["release"] = (await store.get(handedBack.id))?.status;
said["reserveAfter"] = reserveBytes();
said["submitMeanwhile"] = await store.submit(newJob()).then(() => "stored", codeOf);
said["ping"] = await store.ping().then(() => "ok", codeOf);
for (const { id } of queued) await store.requestCancel(id);
for (const { id } of queued) await store.remove(id);
// The reserve comes first when there is room again.
for (let left = 100; left > 0 && reserveBytes() < RESERVE_BYTES; left -= 1) {
  await store.ping().catch(codeOf);
  await Bun.sleep(50);
}
said["pingInTheEnd"] = await store.ping().then(() => "ok", codeOf);
said["submitInTheEnd"] = await store.submit(newJob()).then(() => "stored", codeOf);
await store.close();
process.stdout.write(JSON.stringify(said));
