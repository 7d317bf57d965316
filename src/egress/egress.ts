import type { NetPolicy } from "../jobs/net-policy.ts";

/*
 * The way out for jobs that may use a network. A job never gets a network of its own: it gets a socket, behind which
 * somebody decides on each connection.
 */

/** One job's way out. */
export interface EgressGate {
  /** Unix socket of an HTTP proxy, for this service's user alone until the sandbox hands it to a guest's. */
  readonly socketPath: string;
  /** Ends every connection through it and removes the socket. Idempotent. */
  close(): Promise<void>;
}

export interface Egress {
  /** Throws what the system throws when no socket can be made. */
  open(policy: Exclude<NetPolicy, "none">): Promise<EgressGate>;
}
