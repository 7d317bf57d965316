import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/*
 * A page in a real browser, driven by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol).
 */

/** As the packages of Debian, Fedora and Alpine, and Google's own, call it. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];

/**
 * Whether the tests that need a browser can run. Without it they are skipped, and say what to install; in CI (CI=true) its
 * absence is an error.
 */
export function hasChromium(): boolean {
  if (findChromium() !== null) return true;
  const remedy =
    "chromium is not installed (./setup.sh --tests; Debian, Fedora and Alpine: package chromium)";
  if (process.env["CI"] === "true") throw new Error(remedy);
  console.warn(`Skipping the tests in a browser: ${remedy}`);
  return false;
}

function findChromium(): string | null {
  return PROGRAMS.map((name) => Bun.which(name)).find((path) => path !== null) ?? null;
}

type Params = Readonly<Record<string, unknown>>;

/** A message of the protocol: an answer has an id, an event a method. */
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly message: string };
}

/** Commands to the browser, or to one page of it, and the events that come from there. */
class Connection {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Params>>();
  readonly #onEvent: (method: string, params: Params) => void;
  #lastId = 0;
  sessionId: string | undefined;

  constructor(socket: WebSocket, onEvent: (method: string, params: Params) => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    socket.addEventListener("message", ({ data }) => {
      this.#take(JSON.parse(String(data)) as Message);
    });
  }

  send(method: string, params: Params = {}): Promise<Params> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Params>();
    this.#waiting.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.sessionId }));
    return answer.promise;
  }

  #take({ id, method, params = {}, result = {}, error }: Message): void {
    if (method !== undefined) this.#onEvent(method, params);
    const answer = id === undefined ? undefined : this.#waiting.get(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error.message));
  }
}

/** One page. */
export class BrowserPage {
  /** The URL of everything that it was kept from asking for. */
  readonly blocked: string[] = [];
  /** What its console has complained of: errors, and what its Content-Security-Policy has refused. */
  readonly complaints: string[] = [];
  readonly #connection: Connection;
  #allowedOrigin: string | null = null;
  #loaded = Promise.withResolvers<void>();

  constructor(socket: WebSocket) {
    this.#connection = new Connection(socket, (method, params) => this.#note(method, params));
  }

  async open(): Promise<void> {
    const { targetId } = await this.#connection.send("Target.createTarget", { url: "about:blank" });
    const attached = await this.#connection.send("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    this.#connection.sessionId = String(attached["sessionId"]);
    for (const domain of ["Page", "Runtime", "Log"])
      await this.#connection.send(`${domain}.enable`);
    const screen = { width: 1280, height: 960, deviceScaleFactor: 1, mobile: false };
    await this.#connection.send("Emulation.setDeviceMetricsOverride", screen);
  }

  /** From now on every request that goes to another origin fails as it does without a network. */
  async allowOnly(origin: string): Promise<void> {
    this.#allowedOrigin = origin;
    await this.#connection.send("Fetch.enable", { patterns: [{ urlPattern: "*" }] });
  }

  /** Resolves once the page has loaded. */
  async goto(url: string): Promise<void> {
    this.#loaded = Promise.withResolvers();
    await this.#connection.send("Page.navigate", { url });
    await this.#loaded.promise;
  }

  /** The value of an expression in the page; of a promise, what it resolves to. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.#connection.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { readonly value?: unknown }).value;
  }

  /** Resolves once an expression is true in the page, looked at after each change of it. */
  async until(expression: string): Promise<void> {
    await this.evaluate(`new Promise((resolve) => {
      const observer = new MutationObserver(() => look());
      const look = () => {
        if (!(${expression})) return;
        observer.disconnect();
        resolve(true);
      };
      observer.observe(document, {
        subtree: true, childList: true, attributes: true, characterData: true,
      });
      look();
    })`);
  }

  /** What is to be seen, as a PNG. */
  async screenshot(): Promise<Uint8Array> {
    const { data } = await this.#connection.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }

  #note(method: string, params: Params): void {
    if (method === "Page.loadEventFired") this.#loaded.resolve();
    if (method === "Fetch.requestPaused") this.#decide(params);
    if (method === "Log.entryAdded") {
      const { level, text } = params["entry"] as { readonly level: string; readonly text: string };
      if (level === "error") this.complaints.push(text);
    }
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params));
  }

  /** Lets a request go on, or fail. */
  #decide({ requestId, request }: Params): void {
    const { url } = request as { readonly url: string };
    const isAllowed = new URL(url).origin === this.#allowedOrigin;
    if (!isAllowed) this.blocked.push(url);
    const decision = isAllowed
      ? this.#connection.send("Fetch.continueRequest", { requestId })
      : this.#connection.send("Fetch.failRequest", {
          requestId,
          errorReason: "InternetDisconnected",
        });
    // A page that is left before the answer has no such request any more.
    decision.catch(() => undefined);
  }
}

const running = new Set<Bun.Subprocess>();
// A test run that ends early leaves no browser behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface Browser {
  /** A page of its own, with nothing kept from the others but the cache. */
  open(): Promise<BrowserPage>;
  stop(): Promise<void>;
}

/** Starts a browser without a window, with these further options of the program; hasChromium() must be true. */
export async function startChromium(options: readonly string[] = []): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), "job-runner-chromium-"));
  const child = Bun.spawn(
    [
      findChromium() ?? "chromium",
      "--headless=new",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      // Chromium refuses to run its own sandbox as root; the pages are those of the tests.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // The addresses are http ones.
      "--disable-features=HttpsUpgrades",
      ...options,
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  running.add(child);
  const url = await debuggingUrl(child.stderr);
  const sockets: WebSocket[] = [];
  return {
    async open() {
      const socket = new WebSocket(url);
      sockets.push(socket);
      await new Promise((resolve) => {
        socket.addEventListener("open", resolve, { once: true });
      });
      const page = new BrowserPage(socket);
      await page.open();
      return page;
    },
    async stop() {
      for (const socket of sockets) socket.close();
      child.kill("SIGTERM");
      await child.exited;
      running.delete(child);
      // Its helpers may still be writing when it is gone.
      await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

/** Reads what the browser says until it says where it can be driven; goes on reading, so that it never waits for a reader. */
async function debuggingUrl(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const found = Promise.withResolvers<string>();
  const read = async () => {
    let output = "";
    const decoder = new TextDecoder();
    for await (const chunk of stderr) {
      output += decoder.decode(chunk, { stream: true });
      const [, url] = /DevTools listening on (ws:\S+)/.exec(output) ?? [];
      if (url !== undefined) found.resolve(url);
    }
    throw new Error(`The browser ended: ${output}`);
  };
  read().catch(found.reject);
  return await found.promise;
}
