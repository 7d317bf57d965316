import { type IncomingMessage, type RequestOptions, request as plain } from "node:http";
import { request as secure } from "node:https";
import { isIPv6, type LookupFunction } from "node:net";

import type { AddressRange } from "../egress/addresses.ts";
import { findTarget } from "../egress/target.ts";
import { messageOf } from "../errors.ts";

/*
 * One request to an address that a client has named. It is the service that asks, so it must not be led to what the client
 * could not reach by itself: only public addresses, no redirect, and the connection goes to the very address that was judged.
 */

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Reachable although not public. */
  readonly extraAddresses: readonly AddressRange[];
  /** From the name's resolution to the answer's first line. */
  readonly timeoutMs: number;
  /** Gives the request up. */
  readonly signal: AbortSignal;
}

export type PostResult =
  | { readonly kind: "answered"; readonly status: number }
  /** There was no answer; `problem` is a sentence for the operator. */
  | { readonly kind: "unanswered"; readonly problem: string };

/** Sends `body` to `url`, of http or https. The answer's body is not read. Never rejects. */
export async function post(url: URL, options: PostOptions): Promise<PostResult> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([options.signal, timeout]);
  try {
    const status = await Promise.race([postWithin(url, { ...options, signal }), aborted(signal)]);
    return { kind: "answered", status };
  } catch (error) {
    const problem = timeout.aborted
      ? `There was no answer within ${options.timeoutMs} ms.`
      : messageOf(error);
    return { kind: "unanswered", problem };
  }
}

/** Resolving a name cannot be given up, but nobody need wait for it. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = () => reject(new Error("The request was given up."));
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
  });
}

/** Resolves to the status of the answer. */
async function postWithin(url: URL, options: PostOptions): Promise<number> {
  const isSecure = url.protocol === "https:";
  const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const rules = { policy: "full", extraAddresses: options.extraAddresses } as const;
  const { address } = await findTarget({ host, port }, rules);
  const answer = await send(isSecure ? secure : plain, url, {
    method: "POST",
    headers: { ...options.headers, "content-length": Buffer.byteLength(options.body) },
    body: options.body,
    signal: options.signal,
    lookup: always(address),
  });
  const { statusCode = 0 } = answer;
  answer.destroy();
  return statusCode;
}

/** A resolver that knows one answer, so that a name does not lead elsewhere a moment after it was judged. */
function always(address: string): LookupFunction {
  const family = isIPv6(address) ? 6 : 4;
  return (_, { all }, answer) => {
    if (all === true) answer(null, [{ address, family }]);
    else answer(null, address, family);
  };
}

function send(
  request: typeof plain,
  url: URL,
  { body, ...options }: RequestOptions & { readonly body: string },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // A connection of its own, closed after it: the next one is to go to the address that is judged then.
    const sent = request(url, { ...options, agent: false }, resolve);
    sent.on("error", reject);
    sent.end(body);
  });
}
