import { describe, expect, test } from "bun:test";
import fc from "fast-check";

import { readTraceparent, traceFields } from "../../src/jobs/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

describe("a traceparent", () => {
  test("of version 00 is handed on as it is", () => {
    for (const flags of ["00", "01", "ff"]) {
      const traceparent = `00-${TRACE}-${PARENT}-${flags}`;
      expect(readTraceparent(traceparent)).toBe(traceparent);
    }
  });

  test("of a version to come is handed on as 00, with what that knows", () => {
    expect(readTraceparent(`01-${TRACE}-${PARENT}-03`)).toBe(`00-${TRACE}-${PARENT}-01`);
    expect(readTraceparent(`cc-${TRACE}-${PARENT}-02-what-the-future-holds`)).toBe(
      `00-${TRACE}-${PARENT}-00`,
    );
  });

  // Most rows are of the W3C's own suite (github.com/w3c/trace-context, test/test.py).
  test.each([
    ["", "empty"],
    [`00-${TRACE}-${PARENT}`, "without flags"],
    [`00-${TRACE}-${PARENT}-01-`, "too long for 00, by a dash"],
    [`00-${TRACE}-${PARENT}-01-what-the-future-holds`, "too long for 00"],
    [`00-${TRACE}-${PARENT}-01.`, "with a dot"],
    [`cc-${TRACE}-${PARENT}-01.what`, "of a version to come, without the dash"],
    [`ff-${TRACE}-${PARENT}-01`, "of the version that is none"],
    [`0-${TRACE}-${PARENT}-01`, "with a short version"],
    [`.0-${TRACE}-${PARENT}-01`, "with a version that is no hex"],
    [`00-${"0".repeat(32)}-${PARENT}-01`, "without a trace"],
    [`00-${TRACE}-${"0".repeat(16)}-01`, "without a parent"],
    [`00-${TRACE.toUpperCase()}-${PARENT}-01`, "in upper case"],
    [`00-${TRACE.slice(1)}-${PARENT}-01`, "with a short trace"],
    [`00-${TRACE}-${PARENT.slice(1)}-01`, "with a short parent"],
    [`00-${TRACE}-${PARENT}-1`, "with short flags"],
    [`00-${TRACE}-${PARENT}-0x`, "with flags that are no hex"],
    [`00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`, "given twice"],
  ])("%j is ignored: it is %s", (traceparent) => {
    expect(readTraceparent(traceparent)).toBeNull();
  });

  test("that is handed on is always one of version 00", () => {
    const hex = (length: number) =>
      fc.string({
        unit: fc.constantFrom(..."0123456789abcdef"),
        minLength: length,
        maxLength: length,
      });
    const header = fc
      .tuple(hex(2), hex(32), hex(16), hex(2), fc.constantFrom("", "-more", "x"))
      .map(
        ([version, trace, parent, flags, rest]) => `${version}-${trace}-${parent}-${flags}${rest}`,
      );
    fc.assert(
      fc.property(fc.oneof(header, fc.string({ unit: "grapheme-ascii" })), (given) => {
        const result = readTraceparent(given);
        if (result !== null) expect(result).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/);
      }),
    );
  });
});

test("a request without the header is in no trace", () => {
  expect(readTraceparent(null)).toBeNull();
});

test("a line of the log names the trace, and the span that the caller was in", () => {
  expect(traceFields(`00-${TRACE}-${PARENT}-01`)).toEqual({ trace_id: TRACE, span_id: PARENT });
  for (const none of [null, undefined]) expect(traceFields(none)).toEqual({});
});
