import { expect, test } from "bun:test";

import { NO_QUOTAS } from "../../src/jobs/quotas.ts";
import type { ApiKey } from "../../src/keys/api-key.ts";
import { keyTable, KeyUsageError, parseKeyCommand } from "../../src/keys/command-line.ts";

test("create takes a name, scopes and quotas", () => {
  expect(parseKeyCommand(["create", "ci"])).toEqual({
    kind: "create",
    name: "ci",
    scopes: ["submit", "read"],
    quotas: NO_QUOTAS,
  });
  const line =
    "create --scopes admin,submit --max-active 10 --submits-per-minute=60 --cpu-sec-per-day 0";
  expect(parseKeyCommand([...line.split(" "), "the nightly build"])).toEqual({
    kind: "create",
    name: "the nightly build",
    scopes: ["submit", "admin"],
    quotas: { maxActive: 10, submitsPerMinute: 60, cpuSecPerDay: 0 },
  });
});

test("list and revoke take what they need", () => {
  expect(parseKeyCommand(["list"])).toEqual({ kind: "list" });
  const id = "0123456789abcdef";
  expect(parseKeyCommand(["revoke", id])).toEqual({ kind: "revoke", id });
  for (const help of [["--help"], ["-h"], ["create", "--help"]])
    expect(parseKeyCommand(help)).toEqual({ kind: "help" });
});

test("whatever else is said is told to be no command", () => {
  for (const line of [
    "",
    "nonsense",
    "create",
    "create a b",
    "create a --scopes",
    "create a --scopes root",
    "create a --scopes submit,",
    "create a --max-active -1",
    "create a --max-active 1.5",
    "create a --max-active many",
    "create a --submits-per-minute 9999999999",
    "create a --unknown 1",
    "list all",
    "list --scopes read",
    "revoke",
    "revoke ci",
    "revoke 0123456789abcdef more",
    "revoke 0123456789abcdef --max-active 1",
  ])
    expect(() => parseKeyCommand(line.split(" ").filter((word) => word !== ""))).toThrow(
      KeyUsageError,
    );
  for (const name of ["", "a\nb", "a\u001b[31m", "x".repeat(101)])
    expect(() => parseKeyCommand(["create", name])).toThrow(KeyUsageError);
});

test("the table shows what is known of each key, in columns, and no hash", () => {
  const key: ApiKey = {
    id: "0123456789abcdef",
    name: "ci",
    sha256: "ab".repeat(32),
    scopes: ["submit", "read"],
    quotas: { maxActive: 10, submitsPerMinute: 60, cpuSecPerDay: 3600 },
    createdAtMs: Date.parse("2026-11-26T08:00:00Z"),
    revokedAtMs: null,
  };
  const gone = {
    ...key,
    id: "fedcba9876543210",
    name: "old",
    quotas: NO_QUOTAS,
    revokedAtMs: Date.parse("2026-11-27T08:00:00Z"),
  };
  expect(keyTable([key, gone]).split("\n")).toEqual([
    "id                scopes       quotas                                     created     state               name",
    "0123456789abcdef  submit,read  10 active, 60 submits/min, 3600 CPU s/day  2026-11-26  good                ci",
    "fedcba9876543210  submit,read  none                                       2026-11-26  revoked 2026-11-27  old",
    "",
  ]);
  expect(keyTable([]).split("\n")).toEqual(["id  scopes  quotas  created  state  name", ""]);
});
