/** The real curl, whose view of an early answer or a broken connection is what users get. */

interface CurlAnswer {
  /** curl's own exit code: 0 when it got a whole answer. */
  readonly exitCode: number;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** What curl complained of, if anything. */
  readonly complaint: string;
}

/** Runs curl with these arguments; `stdin` is what `-T -` sends. */
export async function curl(
  args: readonly string[],
  stdin: ReadableStream<Uint8Array> | "ignore" = "ignore",
): Promise<CurlAnswer> {
  const child = Bun.spawn(["curl", "-sS", "-w", "\n%{http_code} %{content_type}", ...args], {
    stdin,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, complaint, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  const border = output.lastIndexOf("\n");
  const [status = "", ...contentType] = output.slice(border + 1).split(" ");
  return {
    exitCode,
    status: Number(status),
    contentType: contentType.join(" "),
    body: output.slice(0, border),
    complaint,
  };
}
