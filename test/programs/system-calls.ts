import { expect } from "bun:test";

import { attempts, type HostileProgram, resultsOf } from "./hostile-program.ts";

/** Number on x86_64 and on aarch64 (asm/unistd_64.h, asm-generic/unistd.h); from 424 on they are the same. */
type Numbers = readonly [x86: number, arm: number];

/** Calls by name: their numbers, and their arguments as Python. Addresses are 0: a call that is let through fails. */
const CALLS = {
  ptrace: [[101, 117], "0, 0, 0, 0"],
  process_vm_readv: [[310, 270], "os.getpid(), 0, 0, 0, 0, 0"],
  process_vm_writev: [[311, 271], "os.getpid(), 0, 0, 0, 0, 0"],
  kcmp: [[312, 272], "os.getpid(), os.getpid(), 1, 0, 0"],
  pidfd_getfd: [[438, 438], "os.pidfd_open(os.getpid()), 0, 0"],
  mount: [[165, 40], 'b"none", b"/tmp", b"tmpfs", 0, 0'],
  "mount proc": [[165, 40], 'b"proc", b"/tmp", b"proc", 0, 0'],
  "mount bind": [[165, 40], 'b"/usr", b"/tmp", 0, 4096, 0'],
  "mount remount": [[165, 40], '0, b"/", 0, 32, 0'],
  "mount overlay": [
    [165, 40],
    'b"o", b"/tmp", b"overlay", 0, b"lowerdir=/usr,upperdir=/work,workdir=/tmp"',
  ],
  umount2: [[166, 39], 'b"/proc", 2'],
  pivot_root: [[155, 41], 'b"/work", b"/work"'],
  chroot: [[161, 51], 'b"/work"'],
  fsopen: [[430, 430], 'b"tmpfs", 0'],
  fsmount: [[432, 432], "0, 0, 0"],
  fspick: [[433, 433], '-100, b"/", 0'],
  open_tree: [[428, 428], '-100, b"/", 1'],
  move_mount: [[429, 429], '-100, b"/work", -100, b"/tmp", 0'],
  mount_setattr: [[442, 442], '-100, b"/", 0, 0, 0'],
  unshare: [[272, 97], "0x10000000"],
  "unshare mounts": [[272, 97], "0x00020000"],
  "unshare all": [[272, 97], "0x7E020080"],
  setns: [[308, 268], 'os.open("/proc/self/ns/net", 0), 0'],
  clone3: [[435, 435], "0, 0"],
  bpf: [[321, 280], "0, 0, 0"],
  perf_event_open: [[298, 241], "0, 0, -1, -1, 0"],
  userfaultfd: [[323, 282], "1"],
  io_uring_setup: [[425, 425], "1, 0"],
  io_uring_enter: [[426, 426], "0, 0, 0, 0, 0, 0"],
  io_uring_register: [[427, 427], "0, 0, 0, 0"],
  keyctl: [[250, 219], "0, -3, 0, 0, 0"],
  add_key: [[248, 217], 'b"user", b"name", b"value", 5, -3'],
  request_key: [[249, 218], 'b"user", b"name", 0, -3'],
  init_module: [[175, 105], "0, 0, 0"],
  finit_module: [[313, 273], "0, 0, 0"],
  delete_module: [[176, 106], 'b"loop", 0'],
  kexec_load: [[246, 104], "0, 0, 0, 0"],
  kexec_file_load: [[320, 294], "0, 0, 0, 0, 0"],
  reboot: [[169, 142], "0xfee1dead, 672274793, 0, 0"],
  swapon: [[167, 224], 'b"/work/main.py", 0'],
  swapoff: [[168, 225], 'b"/work/main.py"'],
  sethostname: [[170, 161], 'b"owned", 5'],
  setdomainname: [[171, 162], 'b"owned", 5'],
  acct: [[163, 89], "0"],
  quotactl: [[179, 60], "0, 0, 0, 0"],
  quotactl_fd: [[443, 443], "0, 0, 0, 0"],
  name_to_handle_at: [[303, 264], '-100, b"/", 0, 0, 0'],
  open_by_handle_at: [[304, 265], "0, 0, 0"],
  syslog: [[103, 116], "3, 0, 0"],
  clock_settime: [[227, 112], "0, 0"],
  settimeofday: [[164, 170], "0, 0"],
  clock_adjtime: [[305, 266], "0, 0"],
  fanotify_init: [[300, 262], "0, 0"],
  vmsplice: [[278, 75], "1, 0, 0, 0"],
  "mknod of a block device": [[259, 33], '-100, b"/work/block", 0o060666, 0x800'],
  "mknod of a character device": [[259, 33], '-100, b"/work/memory", 0o020666, 0x101'],
  "an unknown call": [[9999, 9999], "0"],
} as const satisfies Record<string, readonly [Numbers, string]>;

export type CallName = keyof typeof CALLS;

/** Arguments go to the kernel as machine words, so that a pointer is not cut to 32 bits. */
const CALL_PY = `
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
on_arm = platform.machine() == "aarch64"
def call(numbers, *words):
    def act():
        ctypes.set_errno(0)
        packed = [word if isinstance(word, bytes) else ctypes.c_long(word) for word in words]
        if libc.syscall(ctypes.c_long(numbers[on_arm]), *packed) == -1:
            raise OSError(ctypes.get_errno(), "")
    return act
`;

/** A program that makes these calls; each has to answer with the given error, EPERM unless said otherwise. */
export function calls(options: {
  readonly name: string;
  readonly tries: string;
  readonly safeOutcome: string;
  readonly calls: readonly CallName[];
  readonly errno?: string;
  /** Python that makes further attempts. */
  readonly more?: string;
  readonly moreNames?: readonly string[];
}): HostileProgram {
  const { calls: names, errno = "EPERM", more = "", moreNames = [], ...described } = options;
  const lines = names.map((name) => {
    const [numbers, words] = CALLS[name];
    return `attempt("${name}", call((${numbers.join(", ")}), ${words}))`;
  });
  return attempts({
    ...described,
    source: `${CALL_PY}${lines.join("\n")}\n${more}`,
    expect(ended) {
      expect(resultsOf(ended)).toEqual(
        Object.fromEntries([...names, ...moreNames].map((name) => [name, errno])),
      );
      expect(ended.status).toBe("succeeded");
    },
  });
}

export const SYSTEM_CALLS_PY = CALL_PY;
