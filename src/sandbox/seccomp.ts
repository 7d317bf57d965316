import {
  ARGUMENT_RULES,
  MISSING,
  REFUSED,
  UNASSIGNED,
  UNCOUNTED_MEMORY,
  type ArgumentRule,
  type ArgumentTest,
  type Machine,
  type Numbers,
  type RefusedGroup,
} from "./seccomp-policy.ts";

/*
 * Assembles the policy into the program that the kernel runs at each system call of a guest: classic BPF over a struct
 * seccomp_data (seccomp(2)). Jumps go forward only and by at most 255, so every check is a block that ends with its own
 * verdict, and jumps over itself where it does not apply. The kernel finds out once which calls are allowed whatever
 * their arguments, and does not run the program for them (from 5.11): its length costs nothing there.
 */

/** A struct sock_filter (linux/filter.h): code, jump if true, jump if false, operand. */
type Instruction = readonly [code: number, jt: number, jf: number, k: number];

/** Codes of linux/bpf_common.h: class, size or operation, and mode or source. */
const LOAD_WORD = 0x20;
const AND = 0x54;
const JUMP_EQUAL = 0x15;
const JUMP_ABOVE = 0x25;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const INSTRUCTION_BYTES = 8;
const MAX_JUMP = 255;

/** linux/seccomp.h; the low 16 bits of RET_ERRNO are the errno. */
const KILL_PROCESS = 0x8000_0000;
const RET_ERRNO = 0x0005_0000;
const ALLOW = 0x7fff_0000;
/** asm-generic/errno-base.h and errno.h. */
const EPERM = 1;
const ENOSYS = 38;

/** struct seccomp_data of linux/seccomp.h: int nr, __u32 arch, __u64 instruction_pointer, __u64 args[6]. */
const NR_OFFSET = 0;
const ARCH_OFFSET = 4;
const ARGS_OFFSET = 16;
const ARGUMENT_BYTES = 8;

/** linux/audit.h: the ELF machine, with the bits for 64 and for little endian. */
const AUDIT_ARCH: Readonly<Record<Machine, number>> = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
/** asm/unistd.h: marks the calls of the x32 ABI, which has numbers of its own for some. */
const X32_BIT = 0x4000_0000;

/**
 * The filter for guests on `arch` (as process.arch says it), as bubblewrap reads it; null where there is no table.
 * `isMemoryCounted`: a cgroup holds guests to their memory, whatever they make of it.
 */
export function seccompFilter(
  arch: string,
  { isMemoryCounted }: { readonly isMemoryCounted: boolean },
): Uint8Array | null {
  return arch === "x64" || arch === "arm64" ? encode(program(arch, isMemoryCounted)) : null;
}

function program(machine: Machine, isMemoryCounted: boolean): readonly Instruction[] {
  const numberOn = ([x64, arm64]: Numbers) => (machine === "x64" ? x64 : arm64);
  const uncounted = isMemoryCounted ? { refused: {}, missing: {} } : UNCOUNTED_MEMORY;
  const refused = [...REFUSED.map(({ calls }) => calls), uncounted.refused].flatMap(callNumbers);
  const missing = [MISSING, uncounted.missing].flatMap(callNumbers);
  return [
    load(ARCH_OFFSET),
    jump(JUMP_EQUAL, AUDIT_ARCH[machine], 1, 0),
    verdict(KILL_PROCESS),
    load(NR_OFFSET),
    ...(machine === "x64" ? [jump(JUMP_ANY_BIT, X32_BIT, 0, 1), verdict(KILL_PROCESS)] : []),
    ...UNASSIGNED[machine].flatMap(([first, last]) => [
      jump(JUMP_ABOVE, first - 1, 0, 2),
      jump(JUMP_ABOVE, last, 1, 0),
      verdict(RET_ERRNO | ENOSYS),
    ]),
    ...ARGUMENT_RULES.flatMap((rule) => whenNumber(numberOn(rule.numbers), judgeArguments(rule))),
    ...missing.flatMap((numbers) => whenNumber(numberOn(numbers), [verdict(RET_ERRNO | ENOSYS)])),
    ...refused.flatMap((numbers) => whenNumber(numberOn(numbers), [verdict(RET_ERRNO | EPERM)])),
    verdict(ALLOW),
  ];
}

function callNumbers(calls: RefusedGroup["calls"]): readonly Numbers[] {
  return Object.values(calls);
}

function load(offset: number): Instruction {
  return [LOAD_WORD, 0, 0, offset];
}

function verdict(action: number): Instruction {
  return [RETURN, 0, 0, action];
}

/** Skips `jt` instructions when the loaded word is as asked, else `jf`. Throws past what a jump can hold. */
function jump(code: number, operand: number, jt: number, jf: number): Instruction {
  if (jt > MAX_JUMP || jf > MAX_JUMP) throw new RangeError("A block of the filter is too long");
  return [code, jt, jf, operand];
}

/** The block, which must end with a verdict, for one call; with the call's number loaded before and after it. */
function whenNumber(nr: number | null, block: readonly Instruction[]): readonly Instruction[] {
  return nr === null ? [] : [jump(JUMP_EQUAL, nr, 0, block.length), ...block];
}

function judgeArguments({ refusedWhen }: ArgumentRule): readonly Instruction[] {
  return [...refusedWhen.flatMap(refuseWhenAll), verdict(ALLOW)];
}

/** Refuses when all tests hold, else ends behind itself. */
function refuseWhenAll([test, ...others]: readonly ArgumentTest[]): readonly Instruction[] {
  if (test === undefined) return [verdict(RET_ERRNO | EPERM)];
  const rest = refuseWhenAll(others);
  // From the comparison with the value at `index`, to the rest or past it.
  const toRest = (index: number) => test.values.length - 1 - index;
  const pastRest = (index: number) => toRest(index) + rest.length;
  return [
    // Little endian: the low half of an argument comes first.
    load(ARGS_OFFSET + test.argument * ARGUMENT_BYTES),
    ...(test.mask === undefined ? [] : [[AND, 0, 0, test.mask] as const]),
    ...test.values.map((value, index) =>
      test.match === "none of"
        ? jump(JUMP_EQUAL, value, pastRest(index), 0)
        : jump(JUMP_EQUAL, value, toRest(index), toRest(index) === 0 ? rest.length : 0),
    ),
    ...rest,
  ];
}

/** As both machines and bubblewrap have it: little endian, without padding. */
function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  instructions.forEach(([code, jt, jf, k], index) => {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  });
  return bytes;
}
