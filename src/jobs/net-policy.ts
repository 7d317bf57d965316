/** What of the network a job may reach: nothing, everything public, or the hosts of a list. */
export type NetPolicy = "none" | "full" | { readonly allow: readonly string[] };

/** The words by which an operator says which policies jobs may ask for. */
export const NET_POLICY_KINDS = ["none", "allow", "full"] as const;
export type NetPolicyKind = (typeof NET_POLICY_KINDS)[number];

export function netPolicyKind(policy: NetPolicy): NetPolicyKind {
  return typeof policy === "string" ? policy : "allow";
}

type PatternCheck =
  | { readonly ok: true; readonly pattern: string }
  /** A sentence about what is wrong. */
  | { readonly ok: false; readonly problem: string };

const WILDCARD = "*.";

/**
 * Brings an entry of an allow list into its one spelling: a host name in lower case and punycode, an IP address, or `*.`
 * and a name, which stands for everything below that name and not for itself.
 */
export function checkHostPattern(given: string): PatternCheck {
  const isWildcard = given.startsWith(WILDCARD);
  const host = normalizeHost(isWildcard ? given.slice(WILDCARD.length) : given);
  const quoted = JSON.stringify(given.slice(0, 200));
  if (host === null)
    return {
      ok: false,
      problem: `${quoted} is no host: give a name such as "pypi.org" or "*.example.com", without scheme, port and path.`,
    };
  if (isWildcard && isAddress(host))
    return { ok: false, problem: `${quoted} has a wildcard before an address.` };
  return { ok: true, pattern: isWildcard ? `${WILDCARD}${host}` : host };
}

/**
 * The one spelling of a host as URLs have it: lower case, punycode, IPv4 in four decimals whatever it was written in, IPv6
 * without brackets, no dot at the end. null for what is no host.
 */
export function normalizeHost(given: string): string | null {
  if (given === "" || /[\s/?#@\\%*[\]]/.test(given)) return null;
  const isIpv6 = given.includes(":");
  const url = URL.parse(isIpv6 ? `http://[${given}]/` : `http://${given}/`);
  if (url === null || url.port !== "") return null;
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return host.split(".").includes("") ? null : host;
}

/** Whether a host, in its one spelling, is an address and no name. */
export function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}

/** Whether a policy lets a job talk to a host, given in its one spelling. What the name leads to is another question. */
export function isHostAllowed(policy: NetPolicy, host: string): boolean {
  if (typeof policy === "string") return policy === "full";
  return policy.allow.some((pattern) =>
    pattern.startsWith(WILDCARD) ? host.endsWith(pattern.slice(1)) : host === pattern,
  );
}
