import { AppError } from "../errors.ts";
import type { Store } from "./store.ts";

/** For so long a store must answer every call to count as back: one that serves some calls and not others is away. */
const SETTLED_MS = 1_000;

/** These resolve whether the store answers or not. */
const WAITS: ReadonlySet<string | symbol> = new Set<keyof Store>(["waitForWork", "waitForEntries"]);

export interface StoreWatcher {
  /** A call found no store to answer it; not called again until the store was back. */
  readonly onAway: (error: AppError) => void;
  /** It answers again; it had not for so long. */
  readonly onBack: (awayMs: number) => void;
}

/** The same store, whose outages are told to `watcher`: once when one begins and once when it is over. */
export function watchStore(store: Store, watcher: StoreWatcher): Store {
  const outage = createOutage(watcher);
  const watched =
    (call: (...given: unknown[]) => unknown) =>
    async (...given: unknown[]): Promise<unknown> => {
      try {
        const answer = await call(...given);
        outage.onAnswer();
        return answer;
      } catch (error) {
        if (isAway(error)) outage.onFailure(error);
        else outage.onAnswer();
        throw error;
      }
    };
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      const call = (...given: unknown[]): unknown => Reflect.apply(member, target, given);
      if (WAITS.has(name)) return call;
      if (name !== "close") return watched(call);
      return async () => {
        outage.ignoreFromNowOn();
        await call();
      };
    },
  });
}

function isAway(error: unknown): error is AppError {
  return error instanceof AppError && error.code === "store_unavailable";
}

function createOutage({ onAway, onBack }: StoreWatcher) {
  let awaySinceMs: number | null = null;
  let settling: NodeJS.Timeout | null = null;
  let isClosed = false;
  const unsettle = () => {
    if (settling !== null) clearTimeout(settling);
    settling = null;
  };
  return {
    onFailure(error: AppError): void {
      if (isClosed) return;
      unsettle();
      if (awaySinceMs !== null) return;
      awaySinceMs = performance.now();
      onAway(error);
    },
    onAnswer(): void {
      if (awaySinceMs === null || settling !== null) return;
      const awayMs = performance.now() - awaySinceMs;
      settling = setTimeout(() => {
        awaySinceMs = null;
        settling = null;
        onBack(awayMs);
      }, SETTLED_MS);
      settling.unref();
    },
    /** A closed store answers nobody, as it should. */
    ignoreFromNowOn(): void {
      isClosed = true;
      unsettle();
    },
  };
}
