import { expect, test } from "bun:test";

import { MIB } from "../../src/jobs/limits.ts";
import { roomProblem } from "../../src/executor/room.ts";
import { newJob } from "../contract/store-harness.ts";

const { limits } = newJob().spec;

function jobWith(diskMib: number, memoryMib: number) {
  const room = { diskBytes: diskMib * MIB, memoryBytes: memoryMib * MIB };
  return newJob({ spec: { limits: { ...limits, ...room } } });
}

test("what was made is to fit into the job's disk, and into its memory, in which that is", () => {
  const made = [{ sizeBytes: 3 * MIB }, { sizeBytes: 1 }];
  expect(roomProblem(jobWith(4, 4), made, "It")).toBeNull();
  expect(roomProblem(jobWith(3, 4), made, "It")).toBe(
    "It takes 4 MiB of disk together with the job's files, of which the job has 3 (limits.disk_mb).",
  );
  expect(roomProblem(jobWith(4, 3), made, "It")).toBe(
    "It takes 4 MiB of memory together with the job's files, of which the job has 3 (limits.memory_mb).",
  );
});
