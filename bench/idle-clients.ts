import { residentBytes } from "../test/faults/memory.ts";
import type { Bench } from "./bench.ts";
import { startBareServer } from "./bare-server.ts";
import { startDeployment, storesHere, withDeployments } from "./deployment.ts";
import { HttpConnection } from "./http-connection.ts";
import { streamPath, submitJob, submitRequest } from "./job-client.ts";
import type { Row } from "./table.ts";

/*
 * What a client costs that waits for output which does not come: how much the server's memory (RSS) grows by with 5,000
 * of them, divided. The clients are in this process, which is another one than the server. Each has got a heartbeat when
 * the memory is read, so that whatever the first one allocates is counted.
 */

const ENTRY = "sleep.py";
const SOURCE = "import time\ntime.sleep(600)\n";
const HEARTBEAT_SEC = 5;
/** Connections that are opened at a time: a burst of all would be refused by the queue of the listening socket. */
const BATCH = 100;

export async function measureIdleClients(bench: Bench): Promise<readonly Row[]> {
  const count = bench.isQuick ? 50 : 5_000;
  bench.say(`idle clients: ${count} of a bare server`);
  const bare = await startBareServer();
  const bareKilobytes = await perClient(bare, { count, path: "/", sign: ": ok" });
  await bare.stop();
  const rows: Row[] = [];
  for (const store of storesHere) {
    bench.say(`idle clients: ${count}, ${store}`);
    const start = () => startDeployment(store, { HEARTBEAT_SEC: String(HEARTBEAT_SEC) });
    const value = await withDeployments([start], async ([deployment]) => {
      if (deployment === undefined) return Number.NaN;
      const { url, pid } = deployment.service;
      const connection = await HttpConnection.open(url);
      const request = submitRequest(url, {
        spec: { entry: ENTRY, timeout_sec: 900 },
        files: { [ENTRY]: SOURCE },
      });
      const id = await submitJob(connection, request);
      connection.close();
      return await perClient({ url, pid }, { count, path: streamPath(id), sign: ": heartbeat" });
    });
    rows.push({
      what: `memory of an idle client, of ${count}, ${store}`,
      unit: "KB",
      value,
      yardstick: { name: "bare Bun.serve", value: bareKilobytes },
      targets: [{ of: "value", atMost: 15 }],
    });
  }
  return rows;
}

/** KB by which the server grows for each of `count` streams, once all have received `sign`. */
async function perClient(
  server: { readonly url: string; readonly pid: number },
  { count, path, sign }: { readonly count: number; readonly path: string; readonly sign: string },
): Promise<number> {
  const connections: HttpConnection[] = [];
  const signs: Promise<void>[] = [];
  const beforeBytes = residentBytes(server.pid);
  try {
    while (connections.length < count) {
      const batch = await Promise.all(
        Array.from({ length: Math.min(BATCH, count - connections.length) }, () =>
          HttpConnection.open(server.url),
        ),
      );
      connections.push(...batch);
      const opened = batch.map((connection) => openStream(connection, path, sign));
      signs.push(...opened.map(({ signed }) => signed));
      await Promise.all(opened.map(({ begun }) => begun));
    }
    await Promise.all(signs);
    return (residentBytes(server.pid) - beforeBytes) / count / 1000;
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** `begun`: the server has sent something; `signed`: it has sent `sign`. Both reject when the stream ends. */
function openStream(connection: HttpConnection, path: string, sign: string) {
  const begun = Promise.withResolvers<void>();
  const signed = Promise.withResolvers<void>();
  const onOver = (error: unknown) => {
    begun.reject(error);
    signed.reject(error);
  };
  connection
    .get(path, {
      onBody(bytes) {
        begun.resolve();
        if (bytes.includes(sign)) signed.resolve();
      },
    })
    .then(() => onOver(new Error("The stream has ended")), onOver);
  return { begun: begun.promise, signed: signed.promise };
}
