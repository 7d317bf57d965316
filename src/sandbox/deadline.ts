/** What `beforeDeadline` answers when the time was over first. */
export const LATE = Symbol("late");

/** The result of `work`, or LATE after `timeoutMs`; a rejection of `work` in time is passed on, a later one is dropped. */
export async function beforeDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
): Promise<T | typeof LATE> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
