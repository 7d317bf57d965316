import type { Api } from "../../src/api/app.ts";
import { LANGUAGE_NAMES } from "../../src/jobs/languages.ts";
import { createApi } from "../../src/api/app.ts";
import type { CallerPolicy } from "../../src/api/guard.ts";
import { OpenStreams } from "../../src/api/open-streams.ts";
import type { ApiPorts } from "../../src/api/ports.ts";
import { loadConfig } from "../../src/config.ts";
import { MIB } from "../../src/jobs/limits.ts";
import { createUrlSigner } from "../../src/keys/signed-url.ts";
import { createLogHub } from "../../src/logs/hub.ts";
import { createRuntimeRegistry } from "../../src/runtimes/registry.ts";
import { runtimeInfo } from "../../src/runtimes/runtime.ts";
import { type LoggedLine, recordedLog } from "./recorded-log.ts";
import { openWorkshop, type Workshop } from "./workshop.ts";

/** The API on real parts, without a port to listen on and without a worker. */
interface ApiUnderTest {
  readonly api: Api;
  readonly workshop: Workshop;
  /** What the API told its operator. */
  readonly logged: readonly LoggedLine[];
  /** The same parts behind another API, some of its ports replaced. */
  with(ports: Partial<ApiPorts>): Api;
  close(): Promise<void>;
}

/** Of a server on loopback that has no keys. */
export const ANYBODY: CallerPolicy = {
  apiKeys: [],
  keys: () => Promise.resolve({ areNeeded: false, find: () => null }),
  allowedHosts: [],
  corsOrigins: [],
  signer: createUrlSigner("the secret of the tests"),
};

export async function openApi(): Promise<ApiUnderTest> {
  const workshop = await openWorkshop();
  const { log, lines } = recordedLog();
  const ports: ApiPorts = {
    store: workshop.store,
    logs: createLogHub(workshop.store),
    files: workshop.files,
    runtimes: () =>
      Promise.resolve(createRuntimeRegistry([runtimeInfo(workshop.shell)], { strict: false })),
    languages: LANGUAGE_NAMES,
    sandbox: () => null,
    reasonsNotReady: () => [],
    storeStats: () => workshop.store.stats(),
    slots: () => null,
    streams: new OpenStreams(100, new AbortController().signal),
    metrics: () => Promise.resolve(""),
    onAnswer: () => undefined,
    specs: { bounds: loadConfig({}).bounds, netPolicies: ["none"], callbacks: null },
    upload: { maxBytes: 10 * MIB, maxFiles: 10 },
    maxQueued: null,
    callers: ANYBODY,
    heartbeatMs: 15_000,
    draining: new AbortController().signal,
    log,
  };
  return {
    api: createApi(ports),
    workshop,
    logged: lines,
    with: (replaced) => createApi({ ...ports, ...replaced }),
    close: () => workshop.close(),
  };
}

/** A call from this machine. */
export function call(
  api: Api,
  route: string,
  init: RequestInit & { readonly headers?: Record<string, string> } = {},
): Promise<Response> {
  const [method = "", path = ""] = route.split(" ");
  return api.fetch(new Request(`http://localhost${path}`, { ...init, method }));
}

/** The form of a job that prints a word. */
export function shellJob(spec: object = {}): FormData {
  const form = new FormData();
  form.append("spec", JSON.stringify({ entry: "main.sh", ...spec }));
  form.append("code_files", new Blob(["echo hello\n"]), "main.sh");
  return form;
}
