import { afterEach, describe, expect, test } from "bun:test";

import { eventually } from "../contract/store-harness.ts";
import { type AttackingPage, serveAttackingPage } from "../support/attacking-page.ts";
import { hasChromium, startChromium } from "../support/chromium.ts";
import { removeDataDir, type RunningService, startService } from "../support/service.ts";

/*
 * A server on localhost runs code, and every page that its user opens can send requests to it. Here a real browser opens
 * such pages: one on another origin, and one whose name is made to lead to the server once it has been loaded (DNS
 * rebinding). Each tries every way to submit a job. That the tries themselves work is shown on servers that were told to
 * take requests from that page.
 */

/** Ways that the page has of submitting a job which a server that lets it accepts: two forms, JSON, a beacon, a button. */
const WAYS = 5;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
}, 30_000);

async function attackingPage(): Promise<AttackingPage> {
  const page = await serveAttackingPage();
  closing.push(page.close);
  return page;
}

async function service(env: Readonly<Record<string, string>> = {}): Promise<RunningService> {
  const started = await startService({ env });
  closing.push(async () => {
    await started.stop();
    await removeDataDir(started.dataDir);
  });
  return started;
}

async function open(url: string, ...options: readonly string[]): Promise<void> {
  const browser = await startChromium(options);
  closing.push(browser.stop);
  await (await browser.open()).goto(url);
}

async function jobsIn({ url }: RunningService): Promise<number> {
  const { items } = (await (await fetch(`${url}/jobs`)).json()) as {
    readonly items: readonly object[];
  };
  return items.length;
}

/** A beacon is sent whenever the browser finds the time. */
async function expectAllJobs(target: RunningService): Promise<void> {
  const jobs = await eventually(
    () => jobsIn(target),
    (count) => count >= WAYS,
  );
  expect(jobs).toBe(WAYS);
}

describe.skipIf(!hasChromium())("in a real browser", () => {
  const MAP = "--host-resolver-rules=MAP page.test 127.0.0.1";

  test("a page on another origin submits nothing to a server on localhost, and reads nothing of it", async () => {
    const page = await attackingPage();
    const target = await service();
    page.attack(target.url);
    await open(`http://page.test:${page.port}/`, MAP);
    expect(await page.told).toEqual({
      form: "failed",
      "form, answer unread": "opaque",
      json: "failed",
      "json as text": "opaque",
      list: "failed",
    });
    expect(await jobsIn(target)).toBe(0);
  }, 60_000);

  test("a page of an origin in CORS_ORIGINS does", async () => {
    const page = await attackingPage();
    const target = await service({ CORS_ORIGINS: `http://page.test:${page.port}` });
    page.attack(target.url);
    await open(`http://page.test:${page.port}/`, MAP);
    expect(await page.told).toEqual({
      form: "202",
      "form, answer unread": "opaque",
      json: "202",
      "json as text": "opaque",
      list: "200",
    });
    await expectAllJobs(target);
  }, 60_000);

  /** Opens the page under a name that leads to it, and from then on to the server. */
  const rebind = async (target: RunningService) => {
    const page = await attackingPage();
    page.attack("");
    page.rebindTo(target.url);
    const { port } = new URL(target.url);
    await open(`http://rebind.test:${port}/`, `--proxy-server=http://127.0.0.1:${page.port}`);
    return await page.told;
  };

  test("a page whose name is rebound to localhost is answered with 403 to everything", async () => {
    const target = await service();
    expect(await rebind(target)).toEqual({
      form: "403",
      "form, answer unread": "403",
      json: "403",
      "json as text": "403",
      list: "403",
    });
    expect(await jobsIn(target)).toBe(0);
  }, 60_000);

  test("a page whose name is in ALLOWED_HOSTS is not", async () => {
    const target = await service({ ALLOWED_HOSTS: "rebind.test" });
    expect(await rebind(target)).toEqual({
      form: "202",
      "form, answer unread": "202",
      json: "202",
      "json as text": "415",
      list: "200",
    });
    await expectAllJobs(target);
  }, 60_000);
});
