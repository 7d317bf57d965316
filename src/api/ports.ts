import type { LanguageName } from "../jobs/languages.ts";
import type { ErrorCode } from "../errors.ts";
import type { FileStore } from "../files/file-store.ts";
import type { Logger } from "../logger.ts";
import type { Caller } from "../keys/caller.ts";
import type { LogHub } from "../logs/hub.ts";
import type { SpecRules } from "../jobs/spec.ts";
import type { RuntimeRegistry } from "../runtimes/registry.ts";
import type { SandboxStatus } from "../sandbox/sandbox.ts";
import type { Store, StoreStats, WorkerRuntime } from "../store/store.ts";
import type { CallerPolicy } from "./guard.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { UploadLimits } from "./upload.ts";

/** One request that was answered. */
export interface AnsweredRequest {
  readonly method: string;
  /** The pattern that the path fits, such as `/jobs/:id`; null where it fits none. */
  readonly route: string | null;
  readonly status: number;
  /** Of the problem that the answer is; null for any other answer. */
  readonly code: ErrorCode | null;
  /** A POST /jobs that was sent before under its Idempotency-Key: the answer is about the job of that time. */
  readonly isReplay: boolean;
}

/** What every HTTP server of ours needs, that of a worker too. */
export interface ServingPorts {
  readonly callers: CallerPolicy;
  /** Why this process cannot do its work now, in sentences that everybody may read; empty when it can. */
  readonly reasonsNotReady: () => readonly string[];
  /** What this process counts, as Prometheus reads it. Resolves within seconds, whatever the store does. */
  readonly metrics: () => Promise<string>;
  readonly onAnswer: (answered: AnsweredRequest) => void;
  readonly log: Logger;
}

/** All that the API needs from the rest of the process. */
export interface ApiPorts extends ServingPorts {
  readonly store: Store;
  /** In front of the same store, for everybody who follows a log. */
  readonly logs: LogHub;
  readonly files: FileStore;
  /** What may be submitted now: this process's own runtimes, or what the workers have announced. */
  /** What is looked for on the machines that run jobs. */
  readonly languages: readonly LanguageName[];
  readonly runtimes: () => Promise<RuntimeRegistry<WorkerRuntime>>;
  /** The sandbox of the worker in this process; null where jobs run elsewhere. */
  readonly sandbox: () => SandboxStatus | null;
  /** What the store holds; null where it does not tell within seconds. */
  readonly storeStats: () => Promise<StoreStats | null>;
  /** Of the worker in this process, how many jobs it can run at once, and runs; null where jobs run elsewhere. */
  readonly slots: () => { readonly total: number; readonly busy: number } | null;
  readonly streams: OpenStreams;
  readonly specs: SpecRules;
  /** Jobs that may wait, of everybody together; null: as many as come. */
  readonly maxQueued: number | null;
  readonly upload: UploadLimits;
  readonly heartbeatMs: number;
  /** Fires when the process begins to shut down: new jobs are refused, those that run may still be followed. */
  readonly draining: AbortSignal;
}

/** What a route is given besides. */
export interface RoutePorts extends ApiPorts {
  /** Who makes a request that the guard has let through. */
  readonly callerOf: (request: Request) => Caller;
  /** `log`, with the request's id in every line. */
  readonly logOf: (request: Request) => Logger;
}
