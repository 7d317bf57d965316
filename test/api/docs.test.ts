import { afterAll, beforeAll, expect, test } from "bun:test";

import { call, openApi } from "../support/api.ts";

/* The page as it is sent; whether a browser shows it is tried in e2e/docs-page.test.ts. */

let parts: Awaited<ReturnType<typeof openApi>>;
beforeAll(async () => {
  parts = await openApi();
});
afterAll(() => parts.close());

const get = (path: string, headers: Record<string, string> = {}) =>
  call(parts.api, `GET ${path}`, { headers });

/** The addresses in a text that lead to another host. */
function foreignAddresses(html: string): readonly string[] {
  return [...html.matchAll(/(?:src|href)="([^"]*)"/g)]
    .map((match) => match[1] ?? "")
    .filter((address) => !/^(?:\/(?!\/)|data:,$)/.test(address));
}

test("everything that the page is made of is here", async () => {
  const html = await (await get("/docs")).text();
  expect(foreignAddresses(html)).toEqual([]);
  const files = [...html.matchAll(/"(\/docs\/[^"]+)"/g)].map((match) => match[1] ?? "");
  expect(files.length).toBeGreaterThan(3);
  for (const file of files) {
    const response = await get(file);
    expect([file, response.status]).toEqual([file, 200]);
    const type = file.endsWith(".css") ? "text/css" : "text/javascript";
    expect(response.headers.get("content-type")).toBe(`${type}; charset=utf-8`);
    expect((await response.bytes()).length).toBeGreaterThan(0);
  }
});

test("a browser may run the page's own scripts and no others, and ask this server alone", async () => {
  for (const path of ["/docs", "/docs/page.js"]) {
    const { headers } = await get(path);
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("connect-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe-eval");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
  }
});

test("a copy that is the same is not sent again, and is asked for each time", async () => {
  const first = await get("/docs/swagger-ui-bundle.js");
  expect(first.headers.get("cache-control")).toBe("no-cache");
  const etag = first.headers.get("etag") ?? "";
  const again = await get("/docs/swagger-ui-bundle.js", { "if-none-match": etag });
  expect([again.status, await again.text()]).toEqual([304, ""]);
  expect(again.headers.get("etag")).toBe(etag);
  const other = (await get("/docs")).headers.get("etag") ?? etag;
  expect(other).not.toBe(etag);
  expect((await get("/docs/swagger-ui-bundle.js", { "if-none-match": other })).status).toBe(200);
});

test("what is beside the files is not served", async () => {
  for (const name of ["docs.html", "..%2f..%2fpackage.json", "%2e%2e%2fapi%2fdocs.ts", "__proto__"])
    expect([name, (await get(`/docs/${name}`)).status]).toEqual([name, 404]);
});
