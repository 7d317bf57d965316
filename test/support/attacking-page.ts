import { once } from "node:events";
import { createServer, request as requestTo, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** What came of each try of the page: the status of an answer that it could read, `opaque`, or `failed`. */
type Told = Readonly<Record<string, string>>;

/** A page that tries every way in which a browser submits a job to another server, and whoever serves it. */
export interface AttackingPage {
  readonly port: number;
  /** What the page has told, once it has tried everything. */
  readonly told: Promise<Told>;
  /** The origin that the page attacks; empty: its own. */
  attack(origin: string): void;
  /** As a proxy, takes every name for this address, but for the page itself: what a name server does that rebinds a name. */
  rebindTo(url: string): void;
  close(): void;
}

/** Serves the page under every name that leads here. */
export async function serveAttackingPage(): Promise<AttackingPage> {
  const told = Promise.withResolvers<Told>();
  let page = "";
  let rebound: URL | null = null;
  const server = createServer((request, response) => {
    // A proxy is asked for whole URLs.
    const { pathname, search } = new URL(request.url ?? "/", "http://attacker.invalid");
    if (pathname === "/") response.writeHead(200, { "Content-Type": "text/html" }).end(page);
    else if (pathname === "/told") {
      response.end();
      readAll(request).then((text) => told.resolve(JSON.parse(text) as Told), told.reject);
    } else if (rebound === null) response.writeHead(404).end();
    else {
      const { hostname: host, port } = rebound;
      const { method, headers } = request;
      const onward = requestTo({ host, port, method, headers, path: pathname + search });
      onward.on("response", (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      request.pipe(onward);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    told: told.promise,
    attack: (origin) => {
      page = pageThatAttacks(origin);
    },
    rebindTo: (url) => {
      rebound = new URL(url);
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function pageThatAttacks(origin: string): string {
  return `<!doctype html><meta charset="utf-8"><body><script>
const jobs = ${JSON.stringify(`${origin}/jobs`)};
const told = {};

function form() {
  const data = new FormData();
  data.append("spec", '{"entry":"main.sh"}');
  data.append("code_files", new Blob(["echo hi"]), "main.sh");
  return data;
}

async function attempt(name, options) {
  try {
    const response = await fetch(jobs, options);
    told[name] = response.type === "opaque" ? "opaque" : String(response.status);
  } catch {
    told[name] = "failed";
  }
}

/** As a user who presses a button does. Resolves once the answer is in its frame. */
function pressButton() {
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const frame = make("iframe", { name: "answer" });
  const element = make("form", { method: "post", enctype: "multipart/form-data", action: jobs, target: "answer" });
  const spec = make("input", { name: "spec", value: '{"entry":"main.sh"}' });
  const file = make("input", { name: "code_files", type: "file" });
  const files = new DataTransfer();
  files.items.add(new File(["echo hi"], "main.sh"));
  file.files = files.files;
  element.append(spec, file);
  document.body.append(frame, element);
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  element.submit();
  return loaded;
}

async function run() {
  const inline = JSON.stringify({ entry: "main.sh", files: [{ path: "main.sh", content: "echo hi" }] });
  await attempt("form", { method: "POST", body: form() });
  await attempt("form, answer unread", { method: "POST", mode: "no-cors", body: form() });
  await attempt("json", { method: "POST", headers: { "Content-Type": "application/json" }, body: inline });
  await attempt("json as text", { method: "POST", mode: "no-cors", body: inline });
  await attempt("list", {});
  navigator.sendBeacon(jobs, form());
  await pressButton();
  await fetch("/told", { method: "POST", body: JSON.stringify(told) });
}
run();
</script>`;
}
