import { AppError } from "../errors.ts";
import type { Guest, Sandbox, SandboxStatus } from "../sandbox/sandbox.ts";

/**
 * A sandbox whose guests get a second try, and that finds out whether it still works when the second one fails as well.
 * If it does not, `onBroken` is told and start() throws AppError `sandbox_unavailable`: the job was never at fault. Else
 * start() throws as the sandbox did.
 */
export function guardSandbox(sandbox: Sandbox, onBroken: (status: SandboxStatus) => void): Sandbox {
  let testing: Promise<SandboxStatus> | undefined;
  const testOnce = async (): Promise<SandboxStatus> => {
    testing ??= sandbox.selfTest().finally(() => {
      testing = undefined;
    });
    return testing;
  };
  return {
    selfTest: () => sandbox.selfTest(),
    async start(request): Promise<Guest> {
      try {
        return await sandbox.start(request);
      } catch (error) {
        if (!isSandboxError(error)) throw error;
      }
      try {
        return await sandbox.start(request);
      } catch (error) {
        if (!isSandboxError(error)) throw error;
        const status = await testOnce();
        if (status.ready) throw error;
        onBroken(status);
        throw new AppError("sandbox_unavailable", status.problems.join(" "), { cause: error });
      }
    },
  };
}

function isSandboxError(error: unknown): boolean {
  return error instanceof AppError && error.code === "sandbox_error";
}
