import { createHmac } from "node:crypto";

/*
 * Signatures as Standard Webhooks has them (https://www.standardwebhooks.com, version 1.0.0), so that receivers find a library
 * that checks them in every language.
 */

/**
 * The secret that the callbacks of one API key's jobs are signed with: HMAC-SHA256 of the key's id. So a receiver that trusts one
 * key is not told anything by another, whose callbacks go wherever its holder says.
 */
export function secretOfKey(secret: Uint8Array, keyId: string): Uint8Array {
  return createHmac("sha256", secret).update(keyId).digest();
}

/** As Standard Webhooks writes a secret. */
export function secretText(secret: Uint8Array): string {
  return `whsec_${Buffer.from(secret).toString("base64")}`;
}

/** What is signed. */
export interface SignedMessage {
  /** The same in every try: a receiver knows by it what it has had before. */
  readonly id: string;
  readonly sentAtMs: number;
  readonly body: string;
}

/** The headers that tell a receiver who sends: the id, the time in Unix seconds, and HMAC-SHA256 of both and the body. */
export function signatureHeaders(
  secret: Uint8Array,
  { id, sentAtMs, body }: SignedMessage,
): Readonly<Record<string, string>> {
  const timestamp = Math.floor(sentAtMs / 1000).toString();
  const signature = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`);
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${signature.digest("base64")}`,
  };
}
