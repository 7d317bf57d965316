import type { FieldError } from "../errors.ts";

/** What is wrong with a `callback_url` that was sent, and else its one spelling. */
export interface ResolvedCallbackUrl {
  readonly url?: string;
  readonly errors: readonly FieldError[];
}

/** Checks a `callback_url`: http or https, and nothing in it that would not be sent. Whether its host can be reached is asked later. */
export function resolveCallbackUrl(
  sent: string | undefined,
  { sendsCallbacks }: { readonly sendsCallbacks: boolean },
): ResolvedCallbackUrl {
  if (sent === undefined) return { errors: [] };
  const refuse = (detail: string) => ({ errors: [{ pointer: "/spec/callback_url", detail }] });
  if (!sendsCallbacks)
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
  return { url: url.href, errors: [] };
}
