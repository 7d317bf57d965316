import type { GuestExit, SandboxStatus } from "../../src/sandbox/sandbox.ts";

/** The status of a sandbox that has all it needs. */
export function sandboxStatus(overrides: Partial<SandboxStatus> = {}): SandboxStatus {
  return {
    driver: "bwrap",
    ready: true,
    problems: [],
    gaps: [],
    cgroup: "v2",
    seccomp: true,
    ...overrides,
  };
}

/** The end of a program that met no limit. */
export function guestExit(overrides: Partial<GuestExit> = {}): GuestExit {
  return {
    exitCode: 0,
    signalNumber: null,
    cpuMs: 10,
    peakMemoryBytes: null,
    oom: null,
    endedFor: null,
    limitsMet: [],
    ...overrides,
  };
}
