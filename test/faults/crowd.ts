import { snapshot } from "../support/client.ts";
import { checkPieces } from "./checker.ts";
import { follow } from "./follower.ts";
import { createRandom } from "./random.ts";

/*
 * Many clients of a few logs, in a process of their own, so that what they take of the machine is not the server's:
 *   bun run test/faults/crowd.ts '<CrowdOptions as JSON>'
 * It writes a line CONNECTED once each has something of its log, and a last line with the CrowdReport.
 */

export interface CrowdOptions {
  readonly url: string;
  readonly jobIds: readonly string[];
  readonly clients: number;
  readonly deadlineMs: number;
}

export interface CrowdReport {
  /** A line for each client that did not end with every byte just once. */
  readonly failures: readonly string[];
  /** Over all clients. */
  readonly connections: number;
  /** For each time that a client came back: how long it had heard nothing. */
  readonly silencesMs: readonly number[];
}

export const CONNECTED = "connected";

async function run(options: CrowdOptions): Promise<CrowdReport> {
  const { url, jobIds, clients, deadlineMs } = options;
  const silencesMs: number[] = [];
  let [connections, waiting] = [0, clients];
  const onConnected = (silentMs: number | null) => {
    connections += 1;
    if (silentMs !== null) silencesMs.push(silentMs);
    else if (--waiting === 0) console.log(CONNECTED);
  };
  const snapshots = new Map<string, ReturnType<typeof bothStreams>>();
  const snapshotOf = (id: string) => {
    const known = snapshots.get(id) ?? bothStreams(url, id);
    snapshots.set(id, known);
    return known;
  };
  const takePart = async (client: number): Promise<string | null> => {
    const id = jobIds[client % jobIds.length] ?? "";
    try {
      const events = await follow({
        url,
        path: `/jobs/${id}/logs/stream?format=json`,
        random: createRandom(client),
        cuts: 0,
        obeysRetry: true,
        onConnected,
        deadlineMs,
      });
      checkPieces(`client ${client} of job ${id}`, events, await snapshotOf(id));
      return null;
    } catch (error) {
      return String(error);
    }
  };
  const results = await Promise.all(Array.from({ length: clients }, (_, index) => takePart(index)));
  return { failures: results.filter((result) => result !== null), connections, silencesMs };
}

async function bothStreams(url: string, id: string) {
  const [stdout, stderr] = await Promise.all(
    ["stdout", "stderr"].map(async (stream) =>
      (await snapshot(url, id, `?stream=${stream}`)).toString(),
    ),
  );
  return { stdout: stdout ?? "", stderr: stderr ?? "" };
}

if (import.meta.main) {
  const report = await run(JSON.parse(process.argv[2] ?? "") as CrowdOptions);
  console.log(JSON.stringify(report));
  process.exit(0);
}
