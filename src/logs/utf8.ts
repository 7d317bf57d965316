/**
 * How many bytes at the end of `bytes` (0 to 3) are the beginning of a UTF-8 character whose rest has not come yet.
 * Bytes that can no longer become a character (Unicode Standard, table 3-7: overlong forms, surrogates, beyond U+10FFFF)
 * are not waited for.
 */
export function incompleteTailLength(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const lead = bytes[bytes.length - length] ?? 0;
    if (isContinuation(lead)) continue;
    const second = length > 1 ? bytes[bytes.length - length + 1] : undefined;
    const isPrefix = characterLength(lead) > length && isAllowedSecond(lead, second);
    return isPrefix ? length : 0;
  }
  return 0;
}

const EMPTY = new Uint8Array(0);

/** Cuts what is read of a stream at characters. */
export class WholeCharacters {
  /** The beginning of a character whose rest has not been read yet. */
  #held: Uint8Array = EMPTY;

  /** All characters that `chunk` completes; a view of it where that is possible. */
  take(chunk: Uint8Array): Uint8Array {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = bytes.length - incompleteTailLength(bytes);
    this.#held = end === bytes.length ? EMPTY : bytes.slice(end);
    return bytes.subarray(0, end);
  }

  /** The stream has ended: what is left will not be completed. */
  takeRest(): Uint8Array {
    const held = this.#held;
    this.#held = EMPTY;
    return held;
  }
}

export function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** Length of the character that this byte begins; 0 when it begins none. */
function characterLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

function isAllowedSecond(lead: number, second: number | undefined): boolean {
  if (second === undefined) return true;
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second < 0xa0;
  if (lead === 0xf0) return second >= 0x90;
  if (lead === 0xf4) return second < 0x90;
  return true;
}
