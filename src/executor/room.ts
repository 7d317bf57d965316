import type { JobRecord } from "../jobs/job.ts";
import { diskBytesOf, MIB } from "../jobs/limits.ts";

/**
 * What is wrong where a program would not have room for what was `made` for it, beside the job's files: its disk is in its memory.
 * A sentence, whose first word is what made it; null where there is room.
 */
export function roomProblem(
  { files, spec }: Pick<JobRecord, "files" | "spec">,
  made: readonly { readonly sizeBytes: number }[],
  whatWasMade: string,
): string | null {
  const neededBytes = diskBytesOf([...files, ...made].map(({ sizeBytes }) => sizeBytes));
  const { diskBytes, memoryBytes } = spec.limits;
  const short = [
    { name: "disk", bytes: diskBytes, field: "limits.disk_mb" },
    { name: "memory", bytes: memoryBytes, field: "limits.memory_mb" },
  ].find(({ bytes }) => neededBytes > bytes);
  if (short === undefined) return null;
  const neededMib = Math.ceil(neededBytes / MIB);
  return `${whatWasMade} takes ${neededMib} MiB of ${short.name} together with the job's files, of which the job has ${short.bytes / MIB} (${short.field}).`;
}
