import { afterAll, expect, setSystemTime, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createUrlSigner, readOrMakeSecret } from "../../src/keys/signed-url.ts";

const root = mkdtempSync(join(tmpdir(), "signed-url-"));
afterAll(() => {
  setSystemTime();
  rmSync(root, { recursive: true, force: true });
});

const PATH = "/jobs/0b7e0b0e-5d6f-4c61-9a1e-6f2f8a1d3c55/artifacts/a%20b.txt";
const signer = createUrlSigner("one secret");

/** What a signed URL consists of. */
function partsOf(url: string) {
  const { pathname, searchParams } = new URL(url, "http://localhost");
  const given = (name: string) => searchParams.get(name) ?? "";
  return { path: pathname, expires: given("expires"), signature: given("signature") };
}

test("a signed URL is good until it expires", () => {
  const startMs = 1_795_490_446_190;
  setSystemTime(startMs);
  const { path, ...given } = partsOf(signer.sign(PATH, 60));
  expect(path).toBe(PATH);
  expect(given.expires).toBe("1795490506");
  expect(signer.check(path, given)).toBe("valid");
  setSystemTime(1_795_490_505_999);
  expect(signer.check(path, given)).toBe("valid");
  setSystemTime(1_795_490_506_000);
  expect(signer.check(path, given)).toBe("expired");
  setSystemTime();
});

test("of another path, expiry or secret it is none, also where it has expired", () => {
  const { path, expires, signature } = partsOf(signer.sign(PATH, 60));
  const later = String(Number(expires) + 1);
  expect(signer.check(`${path}x`, { expires, signature })).toBe("invalid");
  expect(signer.check(path, { expires: later, signature })).toBe("invalid");
  expect(signer.check(path, { expires: "1", signature })).toBe("invalid");
  expect(createUrlSigner("another").check(path, { expires, signature })).toBe("invalid");
  for (const wrong of ["", signature.slice(1), `${signature}A`, signature.toLowerCase()])
    expect(signer.check(path, { expires, signature: wrong })).toBe("invalid");
  for (const wrong of ["", "NaN", "Infinity"])
    expect(signer.check(path, { expires: wrong, signature })).toBe("invalid");
});

test("the secret is made once, for its owner alone, whoever asks for it", async () => {
  const path = join(root, "made", "signing-secret");
  const secrets = await Promise.all(Array.from({ length: 20 }, () => readOrMakeSecret(path)));
  expect(new Set(secrets).size).toBe(1);
  expect(Buffer.from(secrets[0] ?? "", "base64url")).toHaveLength(32);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await readOrMakeSecret(path)).toBe(readFileSync(path, "utf8").trim());
});

test("a file that holds no such secret is an error, and stays", async () => {
  const path = join(root, "short");
  writeFileSync(path, "hunter2\n");
  const error: unknown = await readOrMakeSecret(path).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "KeyFileError", message: expect.stringContaining(path) });
  expect(String(error)).not.toContain("hunter2");
  expect(readFileSync(path, "utf8")).toBe("hunter2\n");
});
