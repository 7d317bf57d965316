import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { AppError } from "../../src/errors.ts";
import type { Service } from "../../src/lifecycle.ts";
import { createExecution, type ExecutionParts } from "../../src/runner/execution.ts";
import type { Gate } from "../../src/runner/gate.ts";
import type { Sandbox, SandboxStatus } from "../../src/sandbox/sandbox.ts";
import { shellRequest } from "../support/guests.ts";
import { overridden } from "../support/overridden.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { sandboxStatus } from "../support/sandbox-status.ts";
import { openWorkshop, type Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** Parts that write down what happens to them; `more` replaces some. */
function recordedParts(log: string[], more: Partial<ExecutionParts> = {}): ExecutionParts {
  const runner: Service = {
    name: "runner",
    start: async () => void log.push("start"),
    stop: async () => void log.push("stop"),
  };
  return {
    driver: "bwrap",
    openSandbox: async () => ({
      sandbox: workshop.sandbox,
      egress: workshop.egress,
      findRuntimes: async () => [workshop.shell],
      close: async () => void log.push("close"),
    }),
    createRunner: () => runner,
    log: recordedLog(({ message }) => log.push(message)).log,
    retryIntervalMs: 1,
    ...more,
  };
}

const codeOf = (error: unknown) => (error instanceof AppError ? error.code : error);

describe("execution", () => {
  test("starts the runner once the sandbox is ready, and takes everything down", async () => {
    const log: string[] = [];
    const execution = createExecution(recordedParts(log));
    expect(execution.status()).toMatchObject({ driver: "bwrap", ready: false });
    expect(execution.runtimes()).toEqual([]);
    await execution.start();
    expect(execution.status()).toMatchObject({ ready: true });
    expect(execution.runtimes()).toEqual([workshop.shell]);
    await execution.stop();
    expect(log).toEqual(["start", "Runtimes: sh", "stop", "close"]);
  });

  test("a sandbox that is not ready runs nothing and says why, until it is mended", async () => {
    const { log, lines } = recordedLog();
    const started = Promise.withResolvers<void>();
    const answers: SandboxStatus[] = [
      sandboxStatus({ ready: false, problems: ["bubblewrap is missing."] }),
      sandboxStatus({ ready: false, problems: ["bubblewrap is missing."] }),
    ];
    const sandbox: Sandbox = overridden(workshop.sandbox, {
      selfTest: async () => answers.shift() ?? sandboxStatus(),
    });
    const execution = createExecution(
      recordedParts([], {
        log,
        openSandbox: async () => ({
          sandbox,
          egress: workshop.egress,
          findRuntimes: async () => [workshop.shell],
          close: async () => undefined,
        }),
        createRunner: () => ({
          name: "runner",
          start: async () => started.resolve(),
          stop: async () => undefined,
        }),
      }),
    );
    await execution.start();
    expect(execution.status().problems).toEqual(["bubblewrap is missing."]);
    await started.promise;
    await execution.stop();
    // The second try has nothing new to say.
    expect(lines.map(({ level, event, message }) => [level, event, message])).toEqual([
      ["error", "sandbox_not_ready", "No job can run: bubblewrap is missing."],
      ["debug", "sandbox_not_ready", "No job can run: bubblewrap is missing."],
      ["info", "runtimes_found", "Runtimes: sh"],
    ]);
  });

  test("a step that throws is reported in the status, and tried again", async () => {
    const log: string[] = [];
    let tries = 0;
    const started = Promise.withResolvers<void>();
    const execution = createExecution(
      recordedParts(log, {
        openSandbox: async () => ({
          sandbox: workshop.sandbox,
          egress: workshop.egress,
          findRuntimes: async () => {
            if (tries++ === 0) throw new Error("no space left");
            return [workshop.shell];
          },
          close: async () => void log.push("close"),
        }),
        log: recordedLog(({ event, message }) => {
          log.push(message);
          if (event === "runtimes_found") started.resolve();
        }).log,
      }),
    );
    await execution.start();
    expect(execution.status()).toMatchObject({
      driver: "bwrap",
      ready: false,
      problems: ["The sandbox cannot be made ready: no space left"],
    });
    await started.promise;
    expect(execution.status().ready).toBe(true);
    await execution.stop();
    expect(log.slice(-2)).toEqual(["stop", "close"]);
  });

  test("a sandbox that breaks later: the gate closes, the job is not to blame, until it is mended", async () => {
    const log: string[] = [];
    let isBroken = false;
    const sandbox: Sandbox = overridden(workshop.sandbox, {
      start: (request) =>
        isBroken
          ? Promise.reject(new AppError("sandbox_error", "bwrap is gone"))
          : workshop.sandbox.start(request),
      selfTest: async () =>
        isBroken ? sandboxStatus({ ready: false, problems: ["Gone."] }) : sandboxStatus(),
    });
    let given: { readonly sandbox: Sandbox; readonly gate: Gate } | undefined;
    const execution = createExecution(
      recordedParts(log, {
        openSandbox: async () => ({
          sandbox,
          egress: workshop.egress,
          findRuntimes: async () => [workshop.shell],
          close: async () => undefined,
        }),
        createRunner: ({ sandbox: guarded }, _installed, gate) => {
          given = { sandbox: guarded, gate };
          return {
            name: "runner",
            start: async () => undefined,
            stop: async () => void log.push("stop"),
          };
        },
      }),
    );
    await execution.start();
    const { sandbox: guarded, gate } = given!;
    await gate.opened(new AbortController().signal);
    isBroken = true;
    const starts = [1, 2].map(() => guarded.start(shellRequest("exit 0")).catch(codeOf));
    expect(await Promise.all(starts)).toEqual(["sandbox_unavailable", "sandbox_unavailable"]);
    expect(execution.status()).toMatchObject({ ready: false, problems: ["Gone."] });
    const reopened = gate.opened(new AbortController().signal);
    isBroken = false;
    await reopened;
    expect(execution.status().ready).toBe(true);
    await execution.stop();
    expect(log[0]).toBe("Runtimes: sh");
    expect(log.slice(-2)).toEqual(["The sandbox is ready again.", "stop"]);
  });

  test("one that is stopped while it waits to try again ends at once", async () => {
    const log: string[] = [];
    const execution = createExecution(
      recordedParts(log, {
        openSandbox: () => Promise.reject(new Error("never")),
        retryIntervalMs: 1_000_000,
      }),
    );
    await execution.start();
    await execution.stop();
    expect(log).toEqual(["No job can run: The sandbox cannot be made ready: never"]);
  });
});
