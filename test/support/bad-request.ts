import { MULTIPART } from "./multipart.ts";

/** A request that must be refused, and how. */
export interface BadRequest {
  readonly name: string;
  /** Sends it to a service that has run the job `jobId`. */
  readonly send: (service: {
    readonly url: string;
    readonly jobId: string;
  }) => Promise<{ readonly status: number; readonly contentType: string; readonly body: string }>;
  readonly status: number;
  readonly code: string;
  /** Of the field at fault; null where no field is. */
  readonly pointer: string | null;
}

/** Reads an answer of fetch. */
export async function answerOf(response: Response) {
  return {
    status: response.status,
    contentType: response.headers.get("content-type") ?? "",
    body: await response.text(),
  };
}

/** Posts a body to /jobs as it is. */
export function posted(body: string, contentType = MULTIPART): BadRequest["send"] {
  return async ({ url }) =>
    answerOf(
      await fetch(`${url}/jobs`, {
        method: "POST",
        headers: { "Content-Type": contentType },
        body,
      }),
    );
}
