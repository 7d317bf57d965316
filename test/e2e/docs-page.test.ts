import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { writeFileSync } from "node:fs";

import { openApiDocument } from "../../src/api/openapi.ts";
import { type Browser, type BrowserPage, hasChromium, startChromium } from "../support/chromium.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

/*
 * GET /docs in a real browser that has no network: no name has an address, and what a page asks of any server but its own fails.
 * DOCS_SCREENSHOT names a file to which the page is written as it looks (`bun run screenshot`).
 */

const NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1";

/** The eight bytes that begin every PNG. */
const PNG_SIGNATURE = "89504e470d0a1a0a";
const MAX_SCREENSHOT_BYTES = 200_000;

const OPERATIONS = Object.values(openApiDocument().paths).flatMap((item) => Object.keys(item));

/** How many operations the page shows. */
const SHOWN = "document.querySelectorAll('.opblock').length";

/** Opens an operation that takes nothing, and sends it as a reader would; the status that the page shows. */
async function tryOut(page: BrowserPage, path: string): Promise<unknown> {
  const block = `document.querySelector('[data-path="${path}"]').closest('.opblock')`;
  const click = async (selector: string) => {
    await page.until(`${block}.querySelector('${selector}')`);
    await page.evaluate(`${block}.querySelector('${selector}').click()`);
  };
  await click(".opblock-summary-control");
  await click(".try-out__btn");
  await click(".execute");
  const status = `${block}.querySelector('.live-responses-table .response .response-col_status')`;
  await page.until(`/\\d/.test(${status}?.textContent ?? '')`);
  return page.evaluate(`${status}.textContent.trim()`);
}

describe.skipIf(!hasChromium())("in a browser without a network the page", () => {
  let browser: Browser;
  const services: RunningService[] = [];

  beforeAll(async () => {
    browser = await startChromium([NO_NETWORK]);
    services.push(await startService(), await startService({ env: { API_KEYS: "the-key" } }));
  }, 60_000);

  afterAll(async () => {
    await browser.stop();
    for (const service of services) {
      await service.stop();
      await removeDataDir(service.dataDir);
    }
  });

  async function open(service: RunningService | undefined): Promise<BrowserPage> {
    const page = await browser.open();
    await page.allowOnly(service?.url ?? "");
    await page.goto(`${service?.url}/docs`);
    return page;
  }

  test("would be kept from another server, if it asked one", async () => {
    const page = await open(services[0]);
    const other = `${services[1]?.url}/livez`;
    const failed = `fetch(${JSON.stringify(other)}, { mode: "no-cors" }).then(() => "answered", () => "failed")`;
    expect(await page.evaluate(failed)).toBe("failed");
    // Its own policy has refused it before it came to the wire.
    expect(page.blocked).toEqual([]);
    expect(page.complaints.join()).toContain("Content Security Policy");
    const blank = await browser.open();
    await blank.allowOnly("");
    expect(await blank.evaluate(failed)).toBe("failed");
    expect(blank.blocked).toEqual([other]);
  }, 60_000);

  test("is as it is shown in the README", async () => {
    const page = await open(services[0]);
    await page.until(`${SHOWN} > 0`);
    const image = await page.screenshot();
    expect(Buffer.from(image.subarray(0, 8)).toString("hex")).toBe(PNG_SIGNATURE);
    // Small enough for the README, and no page that is blank.
    expect(image.length).toBeLessThan(MAX_SCREENSHOT_BYTES);
    expect(image.length).toBeGreaterThan(MAX_SCREENSHOT_BYTES / 10);
    const path = process.env["DOCS_SCREENSHOT"];
    if (path !== undefined) writeFileSync(path, image);
  }, 60_000);

  test("shows every operation, asks no other server, and keeps to its policy", async () => {
    const page = await open(services[0]);
    await page.until(`${SHOWN} > 0`);
    expect(await page.evaluate(SHOWN)).toBe(OPERATIONS.length);
    expect(await tryOut(page, "/livez")).toBe("200");
    expect(page.blocked).toEqual([]);
    expect(page.complaints).toEqual([]);
  }, 60_000);

  test("asks for a key where the server has keys, and uses it for what is tried", async () => {
    const page = await open(services[1]);
    await page.until("!document.querySelector('#key-form').hidden");
    expect(await page.evaluate(SHOWN)).toBe(0);
    const enter = (key: string) =>
      page.evaluate(`
        document.querySelector('#key').value = ${JSON.stringify(key)};
        document.querySelector('#key-form').requestSubmit();
      `);
    await enter("another");
    await page.until("document.querySelector('#message').textContent !== ''");
    expect(await page.evaluate("document.querySelector('#message').textContent")).toBe(
      "The API key is not valid.",
    );
    await enter("the-key");
    await page.until(`${SHOWN} > 0`);
    expect(await page.evaluate("document.querySelector('#key-form').hidden")).toBe(true);
    expect(await tryOut(page, "/stats")).toBe("200");
    // It is kept nowhere that another page could read.
    const kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])";
    expect(await page.evaluate(kept)).not.toContain("the-key");
  }, 60_000);
});
