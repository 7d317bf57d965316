import { expect } from "bun:test";

import type { Ended, World } from "./hostile-program.ts";

/** The names of a job's artifacts, sorted. */
export const namesOf = ({ artifacts: files }: Ended) => files.map(({ name }) => name).sort();

/** Every artifact can be fetched by its own URL, is what the record says, and is a download that no browser runs. */
export async function safeDownloads(ended: Ended, { url }: World): Promise<void> {
  for (const artifact of ended.artifacts) {
    const response = await fetch(`${url}${artifact.url}`);
    expect([artifact.name, response.status]).toEqual([artifact.name, 200]);
    const bytes = await response.bytes();
    expect(new Bun.CryptoHasher("sha256").update(bytes).digest("hex")).toBe(artifact.sha256);
    const { headers } = response;
    expect(headers.get("content-disposition")).toMatch(
      /^attachment; filename="[\w.-]+"; filename\*=UTF-8''[\w.~!%-]+$/,
    );
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toBe("sandbox; default-src 'none'");
    expect(headers.get("set-cookie")).toBeNull();
    expect(headers.get("x-injected")).toBeNull();
  }
}

/** Artifacts of these names and no other came out, and all can be fetched. */
export function leaves(...names: readonly string[]) {
  return async (ended: Ended, world: World) => {
    expect(ended.status).toBe("succeeded");
    expect(namesOf(ended)).toEqual([...names].sort());
    await safeDownloads(ended, world);
  };
}
