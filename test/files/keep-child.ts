import { openLocalBuildCache } from "../../src/files/local-build-cache.ts";

/*
 * Keeps something under "k" in the folder that its argument names, and says when half of it is on the disk; the other half never
 * comes. Run by local-build-cache.test.ts, which kills it.
 */

const [folder = ""] = process.argv.slice(2);
const cache = openLocalBuildCache(folder, { maxBytes: 1024 * 1024, minFreeBytes: 0 });

async function* halfOfIt(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(50_000).fill(0x78);
  console.log("half");
  // Nobody writes there.
  await Bun.stdin.text();
}

async function* files() {
  yield await Promise.resolve({ path: "main", bytes: halfOfIt() });
}

await cache.keep("k", files());
