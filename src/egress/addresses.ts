import { isIP } from "node:net";

import ipaddr from "ipaddr.js";

/*
 * Which addresses a job may reach: public ones, and those that the operator adds. Everything else is this machine, its
 * networks, or the cloud's metadata service.
 */

/** A network, such as 10.0.0.0 with a prefix of 8 bits. */
export interface AddressRange {
  readonly address: string;
  readonly prefixBits: number;
}

/**
 * What ipaddr.js takes for public and is not, or not for sure: fec0::/10 site-local of old (RFC 3879), 3fff::/20 for
 * documentation (RFC 9637), 5f00::/16 segment routing (RFC 9602), 192.88.99.0/24 and 2002::/16 6to4, 2001::/32 Teredo
 * and 64:ff9b:1::/48, which all lead to an IPv4 address that somebody else chooses, as ::/96 did (RFC 4291 2.5.5.1).
 * 168.63.129.16 is the machine's own host in Azure, wherever it stands.
 */
const NOT_PUBLIC = [
  "fec0::/10",
  "3fff::/20",
  "5f00::/16",
  "2001::/23",
  "2002::/16",
  "64:ff9b:1::/48",
  "192.88.99.0/24",
  "198.18.0.0/15",
  "192.0.0.0/24",
  "::/96",
  "168.63.129.16/32",
].map((text) => ipaddr.parseCIDR(text));

type Parsed = ipaddr.IPv4 | ipaddr.IPv6;

/** Whether a job may connect to `address`, as dns.lookup gives it. What does not parse is refused. */
export function isReachable(address: string, extra: readonly AddressRange[]): boolean {
  // ipaddr.js takes 1.2 and addresses with a zone for addresses as well.
  if (isIP(address) === 0 || address.includes("%")) return false;
  const parsed = judged(ipaddr.parse(address));
  const isExtra = extra.some((range) =>
    isWithin(parsed, [ipaddr.parse(range.address), range.prefixBits]),
  );
  if (isExtra) return true;
  return parsed.range() === "unicast" && !NOT_PUBLIC.some((range) => isWithin(parsed, range));
}

/** The address that a connection really goes to: IPv4 inside of IPv6 is IPv4 (RFC 4291 2.5.5.2; NAT64, RFC 6052). */
function judged(address: Parsed): Parsed {
  if (!(address instanceof ipaddr.IPv6)) return address;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  if (!address.match(ipaddr.IPv6.parseCIDR("64:ff9b::/96"))) return address;
  return new ipaddr.IPv4(address.toByteArray().slice(12));
}

function isWithin(address: Parsed, [network, bits]: [Parsed, number]): boolean {
  if (address instanceof ipaddr.IPv4 && network instanceof ipaddr.IPv4)
    return address.match(network, bits);
  if (address instanceof ipaddr.IPv6 && network instanceof ipaddr.IPv6)
    return address.match(network, bits);
  return false;
}
