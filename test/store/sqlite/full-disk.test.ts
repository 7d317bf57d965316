import { expect, test } from "bun:test";
import { join } from "node:path";

/** Less than a test would need to leave free, and more than an empty store does. */
const DISK_BYTES = 24 * 1024 * 1024;

test("on a full disk jobs end, nothing else gets that room, and all works again once there is some", async () => {
  const onDisk = ["bwrap", "--dev-bind", "/", "/", "--size", String(DISK_BYTES), "--tmpfs", "/mnt"];
  const program = [process.execPath, join(import.meta.dir, "full-disk-child.ts"), "/mnt"];
  const child = Bun.spawn([...onDisk, "--die-with-parent", "--", ...program], { stdout: "pipe" });
  expect(JSON.parse(await child.stdout.text())).toEqual({
    wholeAtFirst: true,
    claim: ["storage_full", ["queued"]],
    finish: { kind: "finished" },
    release: "queued",
    reserveAfter: 0,
    submitMeanwhile: "storage_full",
    ping: "storage_full",
    pingInTheEnd: "ok",
    submitInTheEnd: "stored",
  });
  expect(await child.exited).toBe(0);
}, 60_000);
