/** How long the attempts of a failed job are waited for. */
const PATIENCE_MS = 5_000;

/** What helps to understand a job that broke a promise: why each attempt was made, and what was logged of it and of the store. */
export async function storyOf(
  id: string,
  world: { readonly url: string; readonly processes: readonly { output(): string }[] },
): Promise<string> {
  const told = world.processes
    .flatMap((each) => each.output().split("\n"))
    .filter((line) => line.includes(id) || line.includes('"event":"store_'))
    .toSorted();
  return [...(await attemptsOf(id, world.url)), ...told].map((line) => `\n    ${line}`).join("");
}

async function attemptsOf(id: string, url: string): Promise<readonly string[]> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const text = await fetch(`${url}/jobs/${id}/logs/stream?attempt=all&format=json`, { signal })
    .then((response) => response.text())
    .catch(String);
  const attempts = text.match(/^id: .*\ndata: \{"attempt".*/gm) ?? [];
  return attempts.map((attempt) => attempt.replace("\n", " "));
}
