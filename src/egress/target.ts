import { isHostAllowed, type NetPolicy, normalizeHost } from "../jobs/net-policy.ts";
import { resolveHost } from "../platform/resolve.ts";
import { type AddressRange, isReachable } from "./addresses.ts";

/*
 * From what a job asks for to the address that is connected to. A name is resolved once, here, and the address that was
 * judged is the one that is used: a name that changes its mind between two questions gains nothing by it.
 */

/** All addresses of a name, or an address as it is. */
type Resolve = (host: string) => Promise<readonly { readonly address: string }[]>;

export interface TargetRules {
  readonly policy: NetPolicy;
  /** Reachable although not public. */
  readonly extraAddresses: readonly AddressRange[];
  readonly resolve?: Resolve;
}

export interface Target {
  readonly address: string;
  readonly port: number;
}

/** Why a job's request goes nowhere; the message is for the job. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: 400 | 403 | 502 | 503 | 504;
  constructor(status: Refusal["status"], message: string) {
    super(message);
    this.status = status;
  }
}

const MAX_PORT = 65_535;

/** The address for a host and port. Throws Refusal. */
export async function findTarget(
  asked: { readonly host: string; readonly port: number },
  rules: TargetRules,
): Promise<Target> {
  const { port } = asked;
  const host = normalizeHost(asked.host);
  if (host === null || !Number.isInteger(port) || port < 1 || port > MAX_PORT)
    throw new Refusal(400, "The request names no host and port.");
  if (!isHostAllowed(rules.policy, host))
    throw new Refusal(403, `${host} is not in this job's net_policy.`);
  const addresses = await resolveAll(host, rules.resolve);
  // One that is not public spoils the name: which of several is taken must not be a matter of luck.
  const refused = addresses.find(({ address }) => !isReachable(address, rules.extraAddresses));
  if (refused !== undefined)
    throw new Refusal(
      403,
      `${host === refused.address ? host : `${host} is at ${refused.address}, which`} is no public address.`,
    );
  const [first] = addresses;
  if (first === undefined) throw new Refusal(502, `${host} has no address.`);
  return { address: first.address, port };
}

async function resolveAll(host: string, resolve: Resolve = resolveHost) {
  try {
    return await resolve(host);
  } catch {
    throw new Refusal(502, `${host} cannot be resolved.`);
  }
}
