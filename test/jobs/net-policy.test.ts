import { describe, expect, test } from "bun:test";

import { checkHostPattern, isHostAllowed, normalizeHost } from "../../src/jobs/net-policy.ts";

describe("a host pattern", () => {
  test.each([
    ["pypi.org", "pypi.org"],
    ["PyPI.org.", "pypi.org"],
    ["*.Example.COM", "*.example.com"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["93.184.216.34", "93.184.216.34"],
    ["0x5db8d822", "93.184.216.34"],
    ["2606:4700::1111", "2606:4700::1111"],
    ["localhost", "localhost"],
  ])("%s is %s", (given, pattern) =>
    expect(checkHostPattern(given)).toEqual({ ok: true, pattern }),
  );

  test.each(
    "|*|*.|*.1.2.3.4|a b|http://a|a/b|a:80|a@b|*a.com|a.*.com|[::1]|..|a\\b|%2e|\u0000".split("|"),
  )("%j is refused in a sentence", (given) => {
    const check = checkHostPattern(given);
    expect(check.ok ? check.pattern : check.problem).toContain(JSON.stringify(given));
  });
});

test("a list allows its hosts, and with a wildcard what is below them", () => {
  const policy = { allow: ["pypi.org", "*.example.com"] };
  for (const host of ["pypi.org", "a.example.com", "a.b.example.com"])
    expect(isHostAllowed(policy, host)).toBe(true);
  for (const host of [
    "example.com",
    "evilexample.com",
    "pypi.org.evil.net",
    "x.pypi.org",
    "1.1.1.1",
  ])
    expect(isHostAllowed(policy, host)).toBe(false);
  expect([isHostAllowed("full", "a"), isHostAllowed("none", "a")]).toEqual([true, false]);
});

test("every way to write an IPv4 address is the same host", () => {
  for (const text of ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "127.0.0.1."])
    expect(normalizeHost(text)).toBe("127.0.0.1");
  expect(normalizeHost("::ffff:127.0.0.1")).toBe("::ffff:7f00:1");
});
