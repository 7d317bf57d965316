import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

import type { StoreKind } from "./deployment.ts";

/*
 * The least that a store must do to keep something, without this service: a write that is on the disk, a command that Redis
 * has answered.
 */

/** About as large as the record of a small job. */
const RECORD_BYTES = 1024;

export interface StoreYardstick {
  readonly name: string;
  /** Does it once; the clients' own number lets several go at a time. */
  write(client: number): Promise<void>;
  close(): void;
}

/** @param redisUrl of the server that the store uses; only for `redis`. */
export function openStoreYardstick(
  store: StoreKind,
  { clients, redisUrl }: { readonly clients: number; readonly redisUrl: string | null },
): StoreYardstick {
  if (store === "sqlite" || redisUrl === null) return openFile();
  const connections = Array.from({ length: clients }, () => new Redis(redisUrl));
  const record = "x".repeat(RECORD_BYTES);
  return {
    name: "raw Redis, SET of 1 KiB",
    async write(client) {
      await connections[client]?.set(`bench-${client}`, record);
    },
    close: () => connections.forEach((connection) => connection.disconnect()),
  };
}

/** Where the embedded store of a bench is, too: the directory for temporary files. */
function openFile(): StoreYardstick {
  const directory = mkdtempSync(join(tmpdir(), "job-runner-bench-file-"));
  const fd = openSync(join(directory, "written"), "w");
  const record = new Uint8Array(RECORD_BYTES);
  return {
    name: "1 KiB written and flushed",
    async write() {
      writeSync(fd, record);
      fdatasyncSync(fd);
    },
    close() {
      closeSync(fd);
      rmSync(directory, { recursive: true });
    },
  };
}
