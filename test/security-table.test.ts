import { expect, test } from "bun:test";

import { corpusTable, writtenTable } from "./programs/table.ts";

test("SECURITY.md lists the corpus as it is; bun run test/programs/table.ts --write mends it", async () => {
  expect(await writtenTable()).toBe(corpusTable());
});
