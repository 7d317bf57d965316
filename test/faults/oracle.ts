import type { Random } from "./random.ts";

/*
 * A program whose output is known byte by byte: what it prints depends on its seed and on the number of its attempt.
 * It writes both streams in pieces that cut lines and characters anywhere, with pauses of random length.
 */
const PROGRAM = `
import os, random, sys, time

seed, count, pause_ms, lingers = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
attempt = os.environ["JOB_ATTEMPT"]
PIECES = ["plain", "日本語", "😀🎉", "", "\\r", "a\\tb", "é" * 40, "\\u2028"]

def text(stream):
    lines = (f"{attempt} {stream} {i} " + PIECES[(i * 7 + seed) % 8] * (1 + (i * 13 + seed) % 5) for i in range(count))
    return "".join(line + "\\n" for line in lines).encode()

rest = {1: text("out"), 2: text("err")}
chance = random.Random(f"{seed} {attempt}")
while rest[1] or rest[2]:
    fd = chance.choice([fd for fd in (1, 2) if rest[fd]])
    try:
        rest[fd] = rest[fd][os.write(fd, rest[fd][: chance.choice([1, 2, 3, 5, 17, 60, 200])]) :]
    except BrokenPipeError:
        # Nobody reads any more. That must not be what ends a program that lingers.
        break
    time.sleep(chance.random() * pause_ms / 1000)
if int(attempt) <= lingers: time.sleep(1000)
with open("result.txt", "w") as result:
    result.write(attempt)
`;

const PIECES = ["plain", "日本語", "😀🎉", "", "\r", "a\tb", "é".repeat(40), "\u2028"] as const;

export interface Oracle {
  readonly spec: object;
  readonly code: Readonly<Record<string, string>>;
  /** All that one attempt writes to a stream. */
  text(attempt: number, stream: "stdout" | "stderr"): string;
}

export interface OracleOptions {
  /** Lines of each stream; about 50 bytes each. */
  readonly lines?: number;
  /** The longest pause between two writes; there are two or three for each line. */
  readonly pauseMs?: number;
  /** So many attempts do not end by themselves once they have printed everything: somebody has to end them. */
  readonly lingers?: number;
  readonly spec?: object;
}

/** An oracle whose text is its own: two of the same trial never print the same. */
export function createOracle(random: Random, options: OracleOptions = {}): Oracle {
  const { lines = 60, pauseMs = 12, lingers = 0, spec = {} } = options;
  const seed = random.int(0, 1_000_000);
  const args = [seed, lines, pauseMs, lingers].map(String);
  return {
    spec: { entry: "oracle.py", args, ...spec },
    code: { "oracle.py": PROGRAM },
    text(attempt, stream) {
      const name = stream === "stdout" ? "out" : "err";
      return Array.from({ length: lines }, (_, i) => {
        const piece = PIECES[(i * 7 + seed) % PIECES.length] ?? "";
        return `${attempt} ${name} ${i} ${piece.repeat(1 + ((i * 13 + seed) % 5))}\n`;
      }).join("");
    },
  };
}
