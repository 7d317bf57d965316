const FAILURE_TEXT_BYTES = 4096;

/** What a process that should say nothing has said: why it failed. */
export interface LastWords {
  readonly complete: Promise<void>;
  text(): string;
}

/** Reads to the end, so that the writer never blocks, and keeps the first bytes. */
export function collectText(stream: ReadableStream<Uint8Array>): LastWords {
  const decoder = new TextDecoder();
  let text = "";
  const read = async () => {
    for await (const chunk of stream)
      if (text.length < FAILURE_TEXT_BYTES) text += decoder.decode(chunk, { stream: true });
  };
  return {
    complete: read().catch(() => undefined),
    text: () => text.slice(0, FAILURE_TEXT_BYTES).trim(),
  };
}
