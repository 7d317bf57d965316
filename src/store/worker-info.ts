/** What a worker process can do; kept so that an API process without a worker of its own knows what may be submitted. */
export interface WorkerInfo {
  readonly owner: string;
  readonly slots: number;
  readonly runtimes: readonly WorkerRuntime[];
}

export interface WorkerRuntime {
  readonly name: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly extensions: readonly string[];
  /** Its programs are compiled before they run. */
  readonly compiles: boolean;
  /** The file whose dependencies it can install for a job; null: it installs none. */
  readonly installs: string | null;
}
