import type { FileStore } from "../files/file-store.ts";
import type { Logger } from "../logger.ts";
import type { LogHub } from "../logs/hub.ts";
import type { SpecRules } from "../jobs/spec.ts";
import type { RuntimeRegistry } from "../runtimes/registry.ts";
import type { SandboxStatus } from "../sandbox/sandbox.ts";
import type { Store, WorkerRuntime } from "../store/store.ts";
import type { CallerPolicy } from "./guard.ts";
import type { UploadLimits } from "./upload.ts";

/** All that the API needs from the rest of the process. */
export interface ApiPorts {
  readonly store: Store;
  /** In front of the same store, for everybody who follows a log. */
  readonly logs: LogHub;
  readonly files: FileStore;
  /** What may be submitted now: this process's own runtimes, or what the workers have announced. */
  readonly runtimes: () => Promise<RuntimeRegistry<WorkerRuntime>>;
  /** The sandbox of the worker in this process; null where jobs run elsewhere. */
  readonly sandbox: () => SandboxStatus | null;
  readonly specs: SpecRules;
  readonly upload: UploadLimits;
  readonly callers: CallerPolicy;
  readonly heartbeatMs: number;
  /** Fires when the process begins to shut down: new jobs are refused, those that run may still be followed. */
  readonly draining: AbortSignal;
  /** Fires when its last job has ended or was handed back: streams end once they have said all there is. */
  readonly closing: AbortSignal;
  readonly log: Logger;
}

/** What a route is given besides. */
export interface RoutePorts extends ApiPorts {
  /** `log`, with the request's id in every line. */
  readonly logOf: (request: Request) => Logger;
}
