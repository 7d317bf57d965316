import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { storeContract } from "../contract/store-contract.ts";

const root = mkdtempSync(join(tmpdir(), "sqlite-store-"));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

let lastFile = 0;
const openStores = new Map<Store, string>();

async function openAt(path: string): Promise<Store> {
  const store = await openSqliteStore({ path });
  openStores.set(store, path);
  return store;
}

async function closeAll(): Promise<void> {
  for (const store of openStores.keys()) await store.close();
  openStores.clear();
}

function freshPath(): string {
  lastFile += 1;
  return join(root, lastFile.toString(), "jobs.db");
}

storeContract("SQLite", {
  timing: { leaseMs: 300, sweepIntervalMs: 50 },
  leasesExpire: false,
  open: async () => await openAt(freshPath()),
  reopen: async (store) => {
    const path = openStores.get(store) ?? "";
    await store.close();
    openStores.delete(store);
    return await openAt(path);
  },
  cleanup: closeAll,
});
