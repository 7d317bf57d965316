import { CPU_WINDOW_MS, type KeyUse, type Quotas, SUBMITS_WINDOW_MS } from "../jobs/quotas.ts";
import type { Caller } from "../keys/caller.ts";
import { orNull } from "../lifecycle.ts";
import type { Store } from "../store/store.ts";

/*
 * RateLimit-Policy and RateLimit, of draft-ietf-httpapi-ratelimit-headers-11: what a key may use (`q`, in `w` seconds), what
 * is left of it (`r`) and for how many seconds that is so (`t`). The unit `cpu-seconds` is none of the draft's registry:
 * without a unit the numbers would be taken for requests.
 */

/** The routes that use a quota. */
const SUBMITS: ReadonlySet<string> = new Set(["POST /jobs", "POST /jobs/:id/rerun"]);

/** An answer does not wait longer than this for a store that does not tell what is left. */
const USE_TIMEOUT_MS = 1_000;

/**
 * The headers of an answer, `route` being one such as `POST /jobs`; none where no quota is used, or the caller has none.
 * While the store is away nothing is said of what is left. Never rejects.
 */
export async function rateLimitHeaders(
  store: Pick<Store, "keyUse">,
  route: string,
  { keyId, quotas }: Caller,
): Promise<Record<string, string>> {
  if (keyId === null || !SUBMITS.has(route)) return {};
  const hasQuota = Object.values(quotas).some((quota) => quota !== null);
  if (!hasQuota) return {};
  const use = await orNull(store.keyUse(keyId), USE_TIMEOUT_MS);
  return {
    "RateLimit-Policy": policyField(quotas),
    ...(use !== null && { RateLimit: limitField(quotas, use) }),
  };
}

function policyField({ maxActive, submitsPerMinute, cpuSecPerDay }: Quotas): string {
  return listOf([
    maxActive === null ? null : `"active";q=${maxActive};qu="concurrent-requests"`,
    submitsPerMinute === null
      ? null
      : `"submits";q=${submitsPerMinute};w=${SUBMITS_WINDOW_MS / 1000}`,
    cpuSecPerDay === null
      ? null
      : `"cpu";q=${cpuSecPerDay};w=${CPU_WINDOW_MS / 1000};qu="cpu-seconds"`,
  ]);
}

function limitField({ maxActive, submitsPerMinute, cpuSecPerDay }: Quotas, use: KeyUse): string {
  const left = (quota: number, used: number) => Math.max(0, Math.floor(quota - used));
  /** A window that has not begun will be a whole one. */
  const reset = (resetMs: number, windowMs: number) => Math.ceil((resetMs || windowMs) / 1000);
  const { active, submits, cpuMs } = use;
  return listOf([
    maxActive === null ? null : `"active";r=${left(maxActive, active)}`,
    submitsPerMinute === null
      ? null
      : `"submits";r=${left(submitsPerMinute, submits.used)};t=${reset(submits.resetMs, SUBMITS_WINDOW_MS)}`,
    cpuSecPerDay === null
      ? null
      : `"cpu";r=${left(cpuSecPerDay, cpuMs.used / 1000)};t=${reset(cpuMs.resetMs, CPU_WINDOW_MS)}`,
  ]);
}

function listOf(members: readonly (string | null)[]): string {
  return members.filter((member) => member !== null).join(", ");
}
