import type { FileStore } from "../files/file-store.ts";
import type { SpecRules } from "../jobs/spec.ts";
import type { RuntimeRegistry } from "../runtimes/registry.ts";
import type { SandboxStatus } from "../sandbox/sandbox.ts";
import type { Store, WorkerRuntime } from "../store/store.ts";
import type { CallerPolicy } from "./guard.ts";
import type { UploadLimits } from "./upload.ts";

/** All that the API needs from the rest of the process. */
export interface ApiPorts {
  readonly store: Store;
  readonly files: FileStore;
  /** What may be submitted now: this process's own runtimes, or what the workers have announced. */
  readonly runtimes: () => Promise<RuntimeRegistry<WorkerRuntime>>;
  /** The sandbox of the worker in this process; null where jobs run elsewhere. */
  readonly sandbox: () => SandboxStatus | null;
  /** Why this process cannot do its work now, in sentences that everybody may read; empty when it can. */
  readonly reasonsNotReady: () => readonly string[];
  readonly specs: SpecRules;
  readonly upload: UploadLimits;
  readonly callers: CallerPolicy;
  readonly heartbeatMs: number;
  /** Fires when the process begins to shut down: new jobs are refused, those that run may still be followed. */
  readonly draining: AbortSignal;
  /** Fires when its last job has ended or was handed back: streams end once they have said all there is. */
  readonly closing: AbortSignal;
  /** Takes errors that the client is not told about. */
  readonly onError: (error: unknown, requestId: string) => void;
}
