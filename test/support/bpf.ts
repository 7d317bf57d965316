/** What the kernel shows a seccomp filter of one system call (struct seccomp_data). */
export interface SystemCall {
  readonly arch: number;
  readonly nr: number;
  /** Up to six, each of 64 bits; missing ones are 0. */
  readonly args: readonly bigint[];
}

const DATA_BYTES = 64;
const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS of linux/bpf_common.h. */
const MAX_INSTRUCTIONS = 4096;

/**
 * Runs a classic BPF program over a system call, as the kernel would, and returns its verdict. Throws where the kernel
 * refuses to load or run it: an unknown code, a load outside the data or off its alignment, an end without a verdict.
 */
export function runFilter(program: Uint8Array, call: SystemCall): number {
  if (program.length % INSTRUCTION_BYTES !== 0) throw new Error("Half an instruction");
  if (program.length / INSTRUCTION_BYTES > MAX_INSTRUCTIONS) throw new Error("Too long");
  const code = new DataView(program.buffer, program.byteOffset, program.length);
  const data = layOut(call);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += INSTRUCTION_BYTES) {
    const operand = code.getUint32(at + 4, true);
    const jump = (holds: boolean) => {
      at += INSTRUCTION_BYTES * code.getUint8(at + (holds ? 2 : 3));
    };
    switch (code.getUint16(at, true)) {
      case 0x20: // ld [k]
        if (operand % 4 !== 0) throw new Error(`A load off its alignment: ${operand}`);
        accumulator = data.getUint32(operand, true);
        break;
      case 0x54: // and #k
        accumulator = (accumulator & operand) >>> 0;
        break;
      case 0x15: // jeq #k
        jump(accumulator === operand);
        break;
      case 0x25: // jgt #k
        jump(accumulator > operand);
        break;
      case 0x45: // jset #k
        jump((accumulator & operand) !== 0);
        break;
      case 0x06: // ret #k
        return operand;
      default:
        throw new Error(`Unknown code at ${at}`);
    }
  }
  throw new Error("The program ended without a verdict");
}

function layOut({ arch, nr, args }: SystemCall): DataView {
  const data = new DataView(new ArrayBuffer(DATA_BYTES));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((value, index) => data.setBigUint64(16 + 8 * index, value, true));
  return data;
}
