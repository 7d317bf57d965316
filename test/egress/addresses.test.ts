import { expect, test } from "bun:test";

import { isReachable } from "../../src/egress/addresses.ts";

const PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"];

/** This machine, its networks, the cloud's metadata, and what leads to them in another spelling. */
const NOT_PUBLIC = `
  0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.0.1 169.254.169.254 172.16.0.1
  172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
  224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
  :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1
  2001::1 2001:10::1 2001:db8::1 2002:7f00:1::1 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
  fec0::1 ff02::1 ff0e::1`
  .trim()
  .split(/\s+/);

test.each(PUBLIC)("%s is public", (address) => expect(isReachable(address, [])).toBe(true));
test.each(NOT_PUBLIC)("%s is not", (address) => expect(isReachable(address, [])).toBe(false));

test("what is no address is refused", () => {
  for (const text of ["", "localhost", "1.2.3", "fe80::1%eth0", "1.2.3.4.5", "::g"])
    expect(isReachable(text, [])).toBe(false);
});

test("the operator's additions are reachable, in each of their spellings, and nothing beside them", () => {
  const extra = [
    { address: "10.1.0.0", prefixBits: 16 },
    { address: "127.0.0.2", prefixBits: 32 },
    { address: "fd12::", prefixBits: 64 },
  ];
  for (const address of ["10.1.2.3", "127.0.0.2", "::ffff:127.0.0.2", "fd12::5"])
    expect(isReachable(address, extra)).toBe(true);
  for (const address of ["10.2.0.1", "127.0.0.1", "fd12:0:0:1::5"])
    expect(isReachable(address, extra)).toBe(false);
});
