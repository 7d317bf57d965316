/**
 * The addresses of a host name, by /etc/hosts and the system's name servers; of an address, itself. Rejects where there are none.
 *
 * Not dns.lookup of node: that waits for the C library in one of the few threads that every file is read by too, so that a
 * name whose servers do not answer would hold up the whole process. c-ares waits for its sockets alone.
 */
export async function resolveHost(host: string): Promise<readonly { readonly address: string }[]> {
  return await Bun.dns.lookup(host, { backend: "c-ares" });
}
