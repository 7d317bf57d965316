import { NO_QUOTAS, type Quotas } from "../jobs/quotas.ts";
import type { ApiKey, Scope } from "./api-key.ts";

/** Who makes a request, as far as that decides what it may do. */
export interface Caller {
  /** The API key that this caller's new jobs belong to; null: none. */
  readonly keyId: string | null;
  /** The API key whose jobs are the only ones there are for this caller; null: everybody's. */
  readonly onlyJobsOf: string | null;
  readonly scopes: readonly Scope[];
  readonly quotas: Quotas;
}

/** Whoever has a key of API_KEYS; everybody, where no key is needed. */
export const OPERATOR: Caller = {
  keyId: null,
  onlyJobsOf: null,
  scopes: ["admin"],
  quotas: NO_QUOTAS,
};

/** Whoever has a signed URL, which names all that may be read with it. */
export const URL_HOLDER: Caller = { ...OPERATOR, scopes: ["read"] };

export function callerWith({ id, scopes, quotas }: ApiKey): Caller {
  return { keyId: id, onlyJobsOf: scopes.includes("admin") ? null : id, scopes, quotas };
}

export function mayCall({ scopes }: Caller, scope: Scope): boolean {
  return scopes.includes(scope) || scopes.includes("admin");
}
