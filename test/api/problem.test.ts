import { describe, expect, test } from "bun:test";

import { errorStatuses, problemResponse } from "../../src/api/problem.ts";
import { AppError } from "../../src/errors.ts";

const request = new Request("http://localhost/jobs/1?secret=x");

test("a problem has the members of RFC 9457 and ours", async () => {
  const fields = [{ pointer: "/spec/entry", detail: "It is not there." }];
  const error = new AppError("invalid_spec", "/spec/entry: It is not there.", { fields });
  const response = problemResponse(error, request, "the-id");
  expect(response.status).toBe(422);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(await response.json()).toEqual({
    type: "urn:job-runner:problem:invalid_spec",
    title: "The job is not valid",
    status: 422,
    detail: "/spec/entry: It is not there.",
    instance: "/jobs/1",
    code: "invalid_spec",
    errors: fields,
    request_id: "the-id",
  });
});

describe("each code", () => {
  for (const [code, status] of errorStatuses())
    test(`${code} is a ${status}`, async () => {
      const response = problemResponse(new AppError(code, "Why."), request, "");
      expect(response.status).toBe(status);
      const detail = code === "store_unavailable" ? expect.not.stringContaining("Why.") : "Why.";
      expect(await response.json()).toMatchObject({ code, status, detail, errors: [] });
      expect(response.headers.has("retry-after")).toBe([503, 507].includes(status));
      expect(response.headers.has("www-authenticate")).toBe(status === 401);
    });
});

test("a 503 or 507 says when to come back: what the error knows of it, else soon, and later where somebody must make room", () => {
  const known = { retryAfterSec: 42 };
  for (const [error, expected] of [
    [new AppError("sandbox_unavailable", "No bwrap.", known), "42"],
    [new AppError("storage_full", "No room.", known), "42"],
    [new AppError("store_unavailable", "No answer."), "5"],
    [new AppError("storage_full", "No room."), "30"],
  ] as const)
    expect(problemResponse(error, request, "").headers.get("retry-after")).toBe(expected);
});

test("a full store is called that, whichever disk or memory it is", async () => {
  const response = problemResponse(new AppError("storage_full", "No room."), request, "");
  expect(await response.json()).toMatchObject({ title: "The store is full" });
});

test("what is no error of ours is a 500 that keeps its text to itself", async () => {
  for (const thrown of [new TypeError("secret"), "secret", null, undefined]) {
    const response = problemResponse(thrown, request, "");
    expect(response.status).toBe(500);
    const body = await response.text();
    expect(body).toContain('"code":"internal"');
    expect(body).not.toContain("secret");
  }
});
