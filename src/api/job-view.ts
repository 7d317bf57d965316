import type { JobRecord, ResolvedSpec } from "../jobs/job.ts";
import { MIB } from "../jobs/limits.ts";
import type { EndNote } from "../jobs/log-entry.ts";
import type { NoteEntry } from "../logs/events.ts";
import type { Artifact, Usage } from "../jobs/outcome.ts";
import { mediaTypeOf } from "./media-type.ts";

/** A job as the API shows it: snake_case, times in RFC 3339 and UTC, sizes in bytes. */
export function jobView(job: JobRecord, queuePosition: number | null) {
  const { outcome } = job;
  return {
    id: job.id,
    status: job.status,
    reason: outcome?.reason ?? null,
    spec: specView(job.spec),
    runtime: { name: job.runtime.name, version: job.runtime.version },
    traceparent: job.traceparent ?? null,
    attempt: job.epochs.length,
    created_at: timeView(job.createdAtMs),
    started_at: timeView(job.startedAtMs),
    finished_at: timeView(job.finishedAtMs),
    queue_position: queuePosition,
    exit_code: outcome?.exitCode ?? null,
    signal: outcome?.signal ?? null,
    oom: outcome?.oom ?? null,
    usage: usageView(outcome?.usage ?? null),
    compile_usage: usageView(outcome?.compileUsage ?? null),
    install_usage: usageView(outcome?.installUsage ?? null),
    log: { bytes: job.log.bytes, dropped_bytes: job.log.droppedBytes },
    files: job.files.map(({ path, role, sizeBytes, sha256 }) => ({
      name: path,
      role,
      size: sizeBytes,
      sha256,
    })),
    artifacts: (outcome?.artifacts ?? []).map((artifact) => artifactView(job.id, artifact)),
    warnings: [...job.warnings, ...(outcome?.warnings ?? [])],
    error: outcome?.error ?? null,
  };
}

/** A job in a list: without its standard input, which may be 1 MiB of each. */
export function listedJobView(job: JobRecord) {
  const view = jobView(job, null);
  const { stdin: _left, ...spec } = view.spec;
  return { ...view, spec };
}

/**
 * A job as a callback tells of it: without its standard input, which may be a mebibyte, and its environment, which may hold
 * secrets that are nothing to the receiver.
 */
export function callbackView(job: JobRecord) {
  const view = listedJobView(job);
  const { env: _left, ...spec } = view.spec;
  return { ...view, spec };
}

export function artifactView(jobId: string, artifact: Artifact) {
  return {
    name: artifact.path,
    size: artifact.sizeBytes,
    type: mediaTypeOf(artifact.path),
    sha256: artifact.sha256,
    url: `/jobs/${jobId}/artifacts/${artifact.path.split("/").map(encodeURIComponent).join("/")}`,
  };
}

/** An event of a log that is no output: its name, and its data. */
export function noteView(note: NoteEntry): readonly [name: string, data: object] {
  switch (note.kind) {
    case "attempt": {
      const { attempt, reason } = note;
      return ["attempt", reason === null ? { attempt } : { attempt, reason }];
    }
    case "gap":
      return ["gap", { dropped_bytes: note.droppedBytes }];
    case "end":
      return ["end", endNoteView(note.end)];
  }
}

function endNoteView(end: EndNote) {
  return {
    status: end.status,
    reason: end.reason,
    exit_code: end.exitCode,
    signal: end.signal,
  };
}

/** A spec as it can be submitted again, every default filled in. */
export function specView(spec: ResolvedSpec) {
  return {
    entry: spec.entry,
    args: spec.args,
    timeout_sec: spec.timeoutMs / 1000,
    runtime: spec.runtime,
    net_policy: spec.netPolicy,
    env: spec.env,
    stdin: spec.stdin,
    install: spec.install,
    limits: {
      memory_mb: spec.limits.memoryBytes / MIB,
      cpu_sec: spec.limits.cpuSec,
      processes: spec.limits.processes,
      disk_mb: spec.limits.diskBytes / MIB,
      output_mb: spec.limits.outputBytes / MIB,
    },
    priority: spec.priority,
    labels: spec.labels,
    ...(spec.callbackUrl !== undefined && { callback_url: spec.callbackUrl }),
  };
}

function usageView(usage: Usage | null) {
  return usage === null
    ? null
    : {
        wall_ms: usage.wallMs,
        cpu_ms: usage.cpuMs,
        peak_memory_bytes: usage.peakMemoryBytes,
      };
}

function timeView(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
