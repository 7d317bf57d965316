/** Of libfaketime, wherever the system keeps it; undefined where it is not installed. */
const [library] = ["/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/lib/faketime"].flatMap(
  (directory) => [...new Bun.Glob(`${directory}/libfaketime.so.1`).scanSync({ absolute: true })],
);

/**
 * Whether the tests of wrong clocks can run. Without libfaketime they are skipped, and say what to install; in CI
 * (CI=true) its absence is an error.
 */
export function hasFaketime(): boolean {
  if (library !== undefined) return true;
  const remedy =
    "libfaketime is not installed (Debian: package faketime; Fedora, Alpine: libfaketime)";
  if (process.env["CI"] === "true") throw new Error(remedy);
  console.warn(`Skipping the tests of wrong clocks: ${remedy}`);
  return false;
}

/** The environment of a program whose wall clock is wrong by `offset`, such as `+1h`; its monotonic clock is right. */
export function clockOff(offset: string): Readonly<Record<string, string>> {
  return { LD_PRELOAD: library ?? "", FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}
