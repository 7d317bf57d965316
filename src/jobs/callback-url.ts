import type { FieldError } from "../errors.ts";
import { isAddress } from "./net-policy.ts";

/** What is wrong with a `callback_url` that was sent, and else its one spelling. */
export interface ResolvedCallbackUrl {
  readonly url?: string;
  readonly errors: readonly FieldError[];
}

/** What a server says of callbacks. */
export interface CallbackRules {
  /** Whether one is sent to an address, as a URL writes it without brackets; a name is judged when it is resolved. */
  readonly isReachable: (address: string) => boolean;
}

/**
 * Checks a `callback_url`: http or https, and nothing in it that would not be sent, nor an address to which none is sent.
 * `rules` is null where the server sends none at all.
 */
export function resolveCallbackUrl(
  sent: string | undefined,
  rules: CallbackRules | null,
): ResolvedCallbackUrl {
  if (sent === undefined) return { errors: [] };
  const refuse = (detail: string) => ({ errors: [{ pointer: "/spec/callback_url", detail }] });
  if (rules === null)
    return refuse(
      "This server sends no callbacks, until its operator sets CALLBACK_SECRET; follow /jobs/{id}/logs/stream until `end`.",
    );
  const url = URL.parse(sent);
  if (url === null || !["http:", "https:"].includes(url.protocol))
    return refuse("It is no http or https URL such as https://app.example.com/ended?job=1.");
  if (url.username !== "" || url.password !== "")
    return refuse(
      "It has a user or a password: a callback is signed, and has no other credentials.",
    );
  if (url.hash !== "") return refuse("It has a fragment (#...), which HTTP does not send.");
  if (url.port === "0") return refuse("Its port is 0.");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isAddress(host) && !rules.isReachable(host))
    return refuse(
      `${host} is no public address; the operator can add it to CALLBACK_EXTRA_ADDRESSES.`,
    );
  return { url: url.href, errors: [] };
}
