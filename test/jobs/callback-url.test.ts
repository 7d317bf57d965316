import { expect, test } from "bun:test";

import { resolveCallbackUrl } from "../../src/jobs/callback-url.ts";

const resolve = (sent: string | undefined, sendsCallbacks = true) =>
  resolveCallbackUrl(
    sent,
    sendsCallbacks ? { isReachable: (address) => ["1.2.3.4", "::1"].includes(address) } : null,
  );

test("a URL of http or https gets its one spelling", () => {
  expect(resolve("HTTPS://App.Example.com:443/ended?job=1")).toEqual({
    url: "https://app.example.com/ended?job=1",
    errors: [],
  });
  expect(resolve("http://[::1]:8080")).toEqual({ url: "http://[::1]:8080/", errors: [] });
  expect(resolve("http://1.2.3.4/").url).toBe("http://1.2.3.4/");
  expect(resolve(undefined)).toEqual({ errors: [] });
  expect(resolve(undefined, false)).toEqual({ errors: [] });
});

test.each([
  ["", "no http or https URL"],
  ["app.example.com/ended", "no http or https URL"],
  ["ftp://app.example.com/", "no http or https URL"],
  ["file:///etc/passwd", "no http or https URL"],
  ["http://", "no http or https URL"],
  ["https://user:secret@app.example.com/", "a user or a password"],
  ["https://app.example.com/#part", "a fragment"],
  ["https://app.example.com:0/", "port is 0"],
  ["http://169.254.169.254/latest", "169.254.169.254 is no public address"],
  ["http://0x7f.1/", "127.0.0.1 is no public address"],
  ["http://[::ffff:10.0.0.1]/", "no public address"],
])("%j is refused, and it is said why", (sent, why) => {
  const { url, errors } = resolve(sent);
  expect(url).toBeUndefined();
  expect(errors).toHaveLength(1);
  expect(errors[0]?.pointer).toBe("/spec/callback_url");
  expect(errors[0]?.detail).toContain(why);
});

test("a server that sends none says what its operator has to set", () => {
  expect(resolve("https://app.example.com/", false).errors[0]?.detail).toContain("CALLBACK_SECRET");
});
