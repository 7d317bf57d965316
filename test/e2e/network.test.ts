import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { runPython, submissionForm, submitPython, waitForEnd } from "../support/client.ts";
import { type Deployment, DEPLOYMENTS } from "../support/deployments.ts";
import {
  freshDataDir,
  removeDataDir,
  type RunningService,
  startService,
} from "../support/service.ts";

/* Servers of this machine stand for the world outside: 127.0.0.2 is made reachable, 127.0.0.1 is what must not be. */

const visits: string[] = [];
let servers: Server[];
let [outside, inside] = [0, 0];

async function serverAt(address: string): Promise<Server> {
  const server = createServer((request, response) => {
    visits.push(`${address} ${request.url}`);
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on("end", () => {
      if (request.url === "/big") response.end(Buffer.alloc(20_000_000, "x"));
      else response.end(`hello from outside, ${bytes} bytes`);
    });
  });
  server.listen(0, address);
  await once(server, "listening");
  return server;
}
const portOf = (server: Server) => (server.address() as AddressInfo).port;

beforeAll(async () => {
  servers = await Promise.all(["127.0.0.2", "127.0.0.1"].map(serverAt));
  [outside, inside] = servers.map(portOf) as [number, number];
});
afterAll(() => {
  for (const server of servers) server.close();
});

const NETWORK = { NET_POLICIES: "none,allow,full", NET_EXTRA_ADDRESSES: "127.0.0.2" };
/** Without it Python's urllib would not use a proxy for these addresses. */
const FETCH = `
import os, socket, urllib.request, urllib.error
os.environ.pop("no_proxy", None); os.environ.pop("NO_PROXY", None)
def fetch(url, data=None):
    try: return urllib.request.urlopen(url, data).read().decode()
    except urllib.error.HTTPError as error: return f"{error.code} {error.read().decode().strip()}"
    except OSError as error: return f"no: {error}"
`;

describe.each(DEPLOYMENTS)("a job with a network on $name", ({ start }) => {
  let deployment: Deployment;
  let url: string;
  beforeAll(async () => {
    deployment = await start(NETWORK);
    ({ url } = deployment.api);
  }, 60_000);
  afterAll(() => deployment.stop());

  test("reaches what is public, plainly and through a tunnel, both ways", async () => {
    const { job, log } = await runPython(
      url,
      `${FETCH}
print(fetch("http://127.0.0.2:${outside}/a"))
print(fetch("http://127.0.0.2:${outside}/b", b"x" * 3_000_000))
print(len(fetch("http://127.0.0.2:${outside}/big")))
tunnel = socket.create_connection(("127.0.0.1", 3128))
tunnel.sendall(b"CONNECT 127.0.0.2:${outside} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(tunnel.recv(1000).decode().split("\\r\\n")[0])
tunnel.sendall(b"GET /t HTTP/1.0\\r\\n\\r\\n")
tunnel.shutdown(socket.SHUT_WR)
print(b"".join(iter(lambda: tunnel.recv(1000), b"")).decode().split("\\r\\n\\r\\n")[1])
`,
      { net_policy: "full" },
    );
    expect(log.split("\n")).toEqual([
      "hello from outside, 0 bytes",
      "hello from outside, 3000000 bytes",
      "20000000",
      "HTTP/1.1 200 Connection established",
      "hello from outside, 0 bytes",
      "",
    ]);
    expect(job).toMatchObject({ status: "succeeded" });
  });

  test("does not reach this machine, the metadata service, or anything past the proxy", async () => {
    visits.length = 0;
    const { log } = await runPython(
      url,
      `${FETCH}
for target in ("127.0.0.1:${inside}", "localhost:${inside}", "2130706433:${inside}", "169.254.169.254", "10.0.0.1"):
    print(fetch(f"http://{target}/")[:3])
for address in (("127.0.0.1", ${inside}), ("127.0.0.2", ${outside}), ("1.1.1.1", 53)):
    try: socket.create_connection(address, 1); print("connected")
    except OSError: print("no way")
try: socket.getaddrinfo("example.com", 80); print("resolved")
except OSError: print("no names")
`,
      { net_policy: "full" },
    );
    expect(log.split("\n")).toEqual([
      ...Array.from({ length: 5 }, () => "403"),
      ...Array.from({ length: 3 }, () => "no way"),
      "no names",
      "",
    ]);
    expect(visits).toEqual([]);
  });

  test("with a list reaches its hosts alone", async () => {
    const { log } = await runPython(
      url,
      `${FETCH}
print(fetch("http://127.0.0.2:${outside}/"))
print(fetch("http://127.0.0.3:${outside}/"))
print(fetch("http://example.com/"))
`,
      { net_policy: { allow: ["127.0.0.2", "*.pypi.org"] } },
    );
    const [allowed, ...refused] = log.trimEnd().split("\n");
    expect(allowed).toBe("hello from outside, 0 bytes");
    expect(refused).toEqual([
      "403 127.0.0.3 is not in this job's net_policy.",
      "403 example.com is not in this job's net_policy.",
    ]);
  });

  test("that is none has no proxy either, whatever another job has", async () => {
    const other = await submitPython(url, "import time\ntime.sleep(2)", { net_policy: "full" });
    const { log } = await runPython(
      url,
      `import os, socket
print(sorted(name for name in os.environ if "proxy" in name.lower()), os.path.exists("/run/proxy.sock"))
try: socket.create_connection(("127.0.0.1", 3128), 1); print("connected")
except OSError: print("no way")
`,
    );
    expect(log).toBe("[] False\nno way\n");
    await waitForEnd(url, other.id);
  });

  test("a program that kills its forwarder loses its way out and nothing else", async () => {
    const { job, log } = await runPython(
      url,
      `${FETCH}
import signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) not in (1, os.getpid()): os.kill(int(pid), signal.SIGKILL)
print(fetch("http://127.0.0.2:${outside}/")[:3])
`,
      { net_policy: "full" },
    );
    expect([job.status, log]).toEqual(["succeeded", "no:\n"]);
  });

  test("what it may ask for is listed", async () => {
    const answer = (await (await fetch(`${url}/runtimes`)).json()) as { net_policies: string[] };
    expect(answer.net_policies).toEqual(["none", "allow", "full"]);
  });
});

describe("a server whose operator permits no network", () => {
  let service: RunningService;
  beforeAll(async () => {
    service = await startService({ dataDir: await freshDataDir() });
  });
  afterAll(async () => {
    await service.stop();
    await removeDataDir(service.dataDir);
  });

  test.each(["full", { allow: ["pypi.org"] }])(
    "refuses %j, and says who could permit it",
    async (policy) => {
      const body = submissionForm({
        spec: { entry: "main.py", net_policy: policy },
        code: { "main.py": "print(1)" },
      });
      const response = await fetch(`${service.url}/jobs`, { method: "POST", body });
      const problem = (await response.json()) as { errors: { pointer: string; detail: string }[] };
      expect(response.status).toBe(422);
      expect(problem.errors).toMatchObject([{ pointer: "/spec/net_policy" }]);
      expect(problem.errors[0]?.detail).toContain("NET_POLICIES");
    },
  );
});
