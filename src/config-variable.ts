import { isIP } from "node:net";

/** The value of a text, or what the text should have been. */
type Parsed<T> = { readonly value: T } | { readonly expected: string };

/** One environment variable: its name, its default, and how its text becomes a value. */
export interface Variable<T> {
  readonly name: string;
  readonly help: string;
  readonly default: T;
  /** The default as --help shows it. */
  readonly shownDefault: string;
  readonly parse: (text: string) => Parsed<T>;
  /** A text that does not parse, as it may be shown; absent: as it is. */
  readonly withoutSecret?: (text: string) => string;
}

/** Any text but an empty one. */
export function text(name: string, fallback: string, help: string): Variable<string> {
  const parse = (given: string): Parsed<string> =>
    given === "" ? { expected: "a text that is not empty" } : { value: given };
  return { name, help, default: fallback, shownDefault: fallback, parse };
}

const MIN_SECRET_CHARACTERS = 32;

/** A text that nobody guesses, or nothing. */
export function secret(name: string, help: string): Variable<string | undefined> {
  const parse = (given: string): Parsed<string | undefined> =>
    given.length < MIN_SECRET_CHARACTERS
      ? { expected: `a text of at least ${MIN_SECRET_CHARACTERS} characters` }
      : { value: given };
  const withoutSecret = () => "***";
  return { name, help, default: undefined, shownDefault: "", parse, withoutSecret };
}

/** From Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): so many random bytes, written in base64 behind a prefix. */
const WEBHOOK_SECRET_BYTES = { min: 24, max: 64 };
const WEBHOOK_SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;

/** The bytes that callbacks are signed with, or nothing. */
export function webhookSecret(name: string, help: string): Variable<Uint8Array | undefined> {
  const parse = (given: string): Parsed<Uint8Array | undefined> => {
    const value = Buffer.from(WEBHOOK_SECRET.exec(given)?.[1] ?? "", "base64");
    const { min, max } = WEBHOOK_SECRET_BYTES;
    return value.length >= min && value.length <= max
      ? { value }
      : {
          expected: `whsec_ and the base64 of ${min} to ${max} bytes, as "openssl rand -base64 32" gives`,
        };
  };
  const withoutSecret = () => "***";
  return { name, help, default: undefined, shownDefault: "", parse, withoutSecret };
}

/** Decimal digits, within a range. */
export function integer(
  name: string,
  fallback: number,
  range: { readonly min: number; readonly max: number },
  help: string,
): Variable<number> {
  const parse = (given: string): Parsed<number> => {
    const value = Number(given);
    const inRange = Number.isInteger(value) && value >= range.min && value <= range.max;
    return /^\d+$/.test(given) && inRange
      ? { value }
      : { expected: `a whole number from ${range.min} to ${range.max}` };
  };
  return { name, help, default: fallback, shownDefault: String(fallback), parse };
}

/** A port to listen on, or nothing; 0 picks a free one. */
export function optionalPort(name: string, help: string): Variable<number | undefined> {
  const { parse } = integer(name, 0, { min: 0, max: 65_535 }, help);
  return { name, help, default: undefined, shownDefault: "", parse };
}

/** 1 or 0; true, yes, on and their opposites as well. */
export function flag(name: string, fallback: boolean, help: string): Variable<boolean> {
  const parse = (given: string): Parsed<boolean> => {
    if (["1", "true", "yes", "on"].includes(given.toLowerCase())) return { value: true };
    if (["0", "false", "no", "off"].includes(given.toLowerCase())) return { value: false };
    return { expected: "1 or 0" };
  };
  return {
    name,
    help,
    default: fallback,
    shownDefault: fallback ? "1" : "0",
    parse,
  };
}

/** One of a few words. */
export function choice<const T extends string>(
  name: string,
  options: readonly T[],
  fallback: NoInfer<T>,
  help: string,
): Variable<T> {
  const parse = (given: string): Parsed<T> => {
    const value = options.find((option) => option === given);
    return value === undefined
      ? { expected: options.map((option) => `"${option}"`).join(" or ") }
      : { value };
  };
  return { name, help, default: fallback, shownDefault: fallback, parse };
}

/** Items between commas; spaces around them and empty ones do not count. */
export function list(name: string, help: string): Variable<readonly string[]> {
  const parse = (given: string): Parsed<readonly string[]> => ({ value: itemsOf(given) });
  return { name, help, default: [], shownDefault: "", parse };
}

/** Web origins between commas, as browsers write them (RFC 6454): a scheme and a host, and nothing after that. */
export function origins(name: string, help: string): Variable<readonly string[]> {
  const isOrigin = (item: string) => URL.parse(item)?.origin === item;
  return checkedList(
    name,
    help,
    isOrigin,
    "origins such as https://app.example.com, without a path",
  );
}

/** Host names between commas, without a scheme, a port or a path. */
export function hostNames(name: string, help: string): Variable<readonly string[]> {
  const isHost = (item: string) => URL.parse(`http://${item}/`)?.hostname === item.toLowerCase();
  return checkedList(name, help, isHost, "host names such as runner.example.com, without a port");
}

function checkedList(
  name: string,
  help: string,
  isItem: (item: string) => boolean,
  items: string,
): Variable<readonly string[]> {
  const parse = (given: string): Parsed<readonly string[]> => {
    const value = itemsOf(given);
    return value.every(isItem) ? { value } : { expected: `comma-separated ${items}` };
  };
  return { name, help, default: [], shownDefault: "", parse };
}

function itemsOf(given: string): readonly string[] {
  return given
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Any of a few words, between commas. */
export function subset<const T extends string>(
  name: string,
  options: readonly T[],
  help: string,
  fallback: readonly NoInfer<T>[] = [],
): Variable<readonly T[]> {
  const parse = (given: string): Parsed<readonly T[]> => {
    const words = itemsOf(given);
    const found = options.filter((option) => words.includes(option));
    return words.every((word) => options.some((option) => option === word))
      ? { value: found }
      : { expected: `a comma-separated list out of ${options.join(", ")}` };
  };
  return { name, help, default: fallback, shownDefault: fallback.join(","), parse };
}

interface IdRange {
  readonly first: number;
  readonly last: number;
}

/** The last id that is no special value to the kernel (-1, as 32 bits, is). */
const MAX_ID = 0xffff_fffe;

/** Two user ids, neither of them root's, such as 20001-29999; or `none`. */
export function idRange(
  name: string,
  fallback: IdRange,
  help: string,
): Variable<IdRange | undefined> {
  const parse = (given: string): Parsed<IdRange | undefined> => {
    if (given === "none") return { value: undefined };
    const [first = Number.NaN, last = Number.NaN] = /^\d+-\d+$/.test(given)
      ? given.split("-").map(Number)
      : [];
    return first >= 1 && first <= last && last <= MAX_ID
      ? { value: { first, last } }
      : { expected: "two user ids above 0 such as 20001-29999, or none" };
  };
  const shownDefault = `${fallback.first}-${fallback.last}`;
  return { name, help, default: fallback, shownDefault, parse };
}

interface AddressRange {
  readonly address: string;
  readonly prefixBits: number;
}

/** IP addresses and networks (10.1.2.0/24) between commas. */
export function addressRanges(name: string, help: string): Variable<readonly AddressRange[]> {
  const parse = (given: string): Parsed<readonly AddressRange[]> => {
    const items = itemsOf(given);
    const value = items.map(addressRange).filter((range) => range !== null);
    return value.length === items.length
      ? { value }
      : { expected: "comma-separated addresses and networks such as 10.1.2.0/24" };
  };
  return { name, help, default: [], shownDefault: "", parse };
}

function addressRange(range: string): AddressRange | null {
  const [address = "", bits, ...more] = range.split("/");
  const allBits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  const prefixBits = bits === undefined ? allBits : Number(bits);
  const isRange = allBits > 0 && more.length === 0 && !address.includes("%");
  const isPrefix = /^\d{1,3}$/.test(bits ?? "0") && prefixBits <= allBits;
  return isRange && isPrefix ? { address, prefixBits } : null;
}

/** A redis:// or rediss:// URL, or nothing. */
export function redisUrl(name: string, help: string): Variable<string | undefined> {
  const parse = (given: string): Parsed<string | undefined> => {
    const url = URL.canParse(given) ? new URL(given) : undefined;
    return url !== undefined && ["redis:", "rediss:"].includes(url.protocol)
      ? { value: given }
      : { expected: "a URL such as redis://localhost:6379/0" };
  };
  const withoutSecret = (given: string) => given.replace(/^.*@/s, "***@");
  return { name, help, default: undefined, shownDefault: "", parse, withoutSecret };
}
