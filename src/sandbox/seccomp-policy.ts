/*
 * Which system calls a guest may make, as data; seccomp.ts turns it into a filter for the kernel. What is not named here
 * is allowed: programs in any language run here, and an allow-list breaks them with each new C library. Refused is what
 * reaches past the guest, and what no program has a use for but has often had a hole in the kernel behind it.
 *
 * Not needed for the isolation that namespaces give; it takes away the parts of the kernel in which a way around them
 * is looked for.
 *
 * Numbers are from asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64) of Linux 6.1, those above 450 from
 * arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl of Linux 6.18. All were compared by a script with
 * those headers and with the tables that golang.org/x/sys 0.50 generates from the kernel's.
 */

/** A machine as process.arch names it. */
export type Machine = "x64" | "arm64";

/** A system call's number on each machine; null where it has none there. */
export type Numbers = readonly [x64: number | null, arm64: number | null];

export interface RefusedGroup {
  readonly reason: string;
  /** By the call's name. */
  readonly calls: Readonly<Record<string, Numbers>>;
}

/** Looks at one argument. */
export interface ArgumentTest {
  /** Its position, from 0. */
  readonly argument: number;
  /** Applied before the comparison; absent: all 32 bits. */
  readonly mask?: number;
  readonly match: "one of" | "none of";
  readonly values: readonly number[];
}

/**
 * Refuses a call for its arguments. Only their low 32 bits are compared, because the kernel reads no more of them: cmd
 * of ioctl, persona and all of socket are ints, a mode has 16 bits, clone's flags go through lower_32_bits(). A filter
 * that compared all 64 would let TIOCSTI through with any bit set above (CVE-2019-10063 of flatpak).
 */
export interface ArgumentRule {
  readonly name: string;
  readonly reason: string;
  readonly numbers: Numbers;
  /** Refused when all tests of one of these hold. */
  readonly refusedWhen: readonly (readonly ArgumentTest[])[];
}

/** Answered with EPERM. */
export const REFUSED: readonly RefusedGroup[] = [
  {
    reason:
      "Look into another process, change its memory or take its descriptors. Each process frees and places its own memory by other calls.",
    calls: {
      ptrace: [101, 117],
      process_vm_readv: [310, 270],
      process_vm_writev: [311, 271],
      process_madvise: [440, 440],
      process_mrelease: [448, 448],
      kcmp: [312, 272],
      pidfd_getfd: [438, 438],
      migrate_pages: [256, 238],
      move_pages: [279, 239],
    },
  },
  {
    reason:
      "Change what is mounted. listmount and statmount only read, and tell what /proc/self/mountinfo does.",
    calls: {
      mount: [165, 40],
      umount2: [166, 39],
      pivot_root: [155, 41],
      chroot: [161, 51],
      open_tree: [428, 428],
      open_tree_attr: [467, 467],
      move_mount: [429, 429],
      fsopen: [430, 430],
      fsconfig: [431, 431],
      fsmount: [432, 432],
      fspick: [433, 433],
      mount_setattr: [442, 442],
    },
  },
  {
    reason: "Make or enter namespaces, in which a program has capabilities; see clone below.",
    calls: { setns: [308, 268], unshare: [272, 97] },
  },
  {
    reason: "Open files by handle, past every mount and directory; watch those of others.",
    calls: {
      name_to_handle_at: [303, 264],
      open_by_handle_at: [304, 265],
      fanotify_init: [300, 262],
      fanotify_mark: [301, 263],
    },
  },
  {
    reason: "Large parts of the kernel with a long record of holes, which programs do without.",
    calls: {
      bpf: [321, 280],
      perf_event_open: [298, 241],
      userfaultfd: [323, 282],
      io_uring_setup: [425, 425],
      io_uring_enter: [426, 426],
      io_uring_register: [427, 427],
      vmsplice: [278, 75],
      add_key: [248, 217],
      request_key: [249, 218],
      keyctl: [250, 219],
    },
  },
  {
    reason:
      "Takes pages out of the kernel's own map: the whole host is slower for it and cannot hibernate.",
    calls: { memfd_secret: [447, 447] },
  },
  {
    reason: "The machine itself: its kernel, name, clocks, swap, accounting, quotas and log.",
    calls: {
      init_module: [175, 105],
      finit_module: [313, 273],
      delete_module: [176, 106],
      kexec_load: [246, 104],
      kexec_file_load: [320, 294],
      reboot: [169, 142],
      swapon: [167, 224],
      swapoff: [168, 225],
      sethostname: [170, 161],
      setdomainname: [171, 162],
      acct: [163, 89],
      quotactl: [179, 60],
      quotactl_fd: [443, 443],
      syslog: [103, 116],
      settimeofday: [164, 170],
      clock_settime: [227, 112],
      clock_adjtime: [305, 266],
      adjtimex: [159, 171],
    },
  },
  {
    reason: "The processor's ports and descriptor tables.",
    calls: { iopl: [172, null], ioperm: [173, null], modify_ldt: [154, null] },
  },
  {
    reason: "Left over from the past; no C library calls them any more.",
    calls: {
      uselib: [134, null],
      ustat: [136, null],
      sysfs: [139, null],
      vhangup: [153, 58],
      lookup_dcookie: [212, 18],
    },
  },
];

/**
 * Answered with ENOSYS, as by an older kernel: the C library then makes threads and processes by clone. A filter cannot
 * see clone3's flags, which are in memory. EPERM would not do: the C library takes it for the answer.
 */
export const MISSING: RefusedGroup["calls"] = { clone3: [435, 435] };

/**
 * Refused as well where no cgroup counts a guest's memory: what these make is memory of no process, which nothing else
 * would hold a guest to. EPERM, and ENOSYS for the file, which programs then make elsewhere.
 */
export const UNCOUNTED_MEMORY = {
  refused: { shmget: [29, 194], msgget: [68, 186] },
  missing: { memfd_create: [319, 279] },
} as const satisfies Record<string, RefusedGroup["calls"]>;

/** file_setattr, of Linux 6.17. listns (470) and rseq_slice_yield (471) are younger, and nothing depends on them yet. */
const NEWEST = 469;
const LAST = 0xffff_ffff;

/**
 * Ranges of numbers, both ends included, that are no system call, or one that this file does not know. Answered with
 * ENOSYS: a call that the kernel learns tomorrow is none here until somebody has thought about it, and programs fall
 * back as they do on an older kernel. New numbers come after the newest, and on x64 after 334 too (uretprobe is 335).
 */
export const UNASSIGNED: Readonly<Record<Machine, readonly (readonly [number, number])[]>> = {
  x64: [
    [335, 423],
    [NEWEST + 1, LAST],
  ],
  arm64: [
    [244, 259],
    [295, 423],
    [NEWEST + 1, LAST],
  ],
};

/** linux/sched.h: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME (0x80) is clone3's and unshare's. */
const CLONE_NEW_ANY = 0x7e02_0000;
/** asm-generic/ioctls.h, which both machines use. */
const [TIOCSTI, TIOCLINUX, TIOCSETD] = [0x5412, 0x541c, 0x5423];
/** linux/socket.h, linux/net.h and linux/netlink.h. */
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const [SOCK_TYPE_MASK, SOCK_PACKET, NETLINK_ROUTE] = [0xf, 10, 0];
/** linux/stat.h. */
const [S_IFMT, S_IFCHR, S_IFBLK] = [0o170000, 0o020000, 0o060000];
/** linux/personality.h; the last one asks what it is. */
const [PER_LINUX, ADDR_NO_RANDOMIZE, PER_QUERY] = [0, 0x0004_0000, 0xffff_ffff];

const UNUSUAL_SOCKETS: ArgumentRule["refusedWhen"] = [
  [{ argument: 0, match: "none of", values: [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] }],
  [
    { argument: 0, match: "one of", values: [AF_NETLINK] },
    { argument: 2, match: "none of", values: [NETLINK_ROUTE] },
  ],
  // The kernel makes an AF_PACKET socket of this (__sock_create in net/socket.c).
  [
    { argument: 0, match: "one of", values: [AF_INET] },
    { argument: 1, mask: SOCK_TYPE_MASK, match: "one of", values: [SOCK_PACKET] },
  ],
];
const SOCKET_REASON =
  "Other families load kernel modules that nobody else uses. Of netlink, the routing protocol lists network interfaces.";

function device(modeArgument: number): ArgumentRule["refusedWhen"] {
  return [[{ argument: modeArgument, mask: S_IFMT, match: "one of", values: [S_IFCHR, S_IFBLK] }]];
}
const DEVICE_REASON = "Devices; FIFOs, sockets and regular files are made by the same call.";

/**
 * A guest's programs have the uid of their supervisor, which is process 1; that is enough to change its limits and its
 * place in the scheduler. No thread of theirs ever has that number.
 */
const SUPERVISOR = 1;
const SUPERVISOR_REASON =
  "Limits and scheduling of the supervisor: it could not tell the job's end, or hand out its files.";
const onSupervisor = (name: string, numbers: Numbers): ArgumentRule => ({
  name,
  reason: SUPERVISOR_REASON,
  numbers,
  refusedWhen: [[{ argument: 0, match: "one of", values: [SUPERVISOR] }]],
});
/** linux/resource.h. */
const PRIO_PROCESS = 0;

/** Answered with EPERM where one of its cases holds, else allowed. */
export const ARGUMENT_RULES: readonly ArgumentRule[] = [
  onSupervisor("prlimit64", [302, 261]),
  onSupervisor("sched_setaffinity", [203, 122]),
  onSupervisor("sched_setscheduler", [144, 119]),
  onSupervisor("sched_setparam", [142, 118]),
  onSupervisor("sched_setattr", [314, 274]),
  {
    name: "setpriority",
    reason: SUPERVISOR_REASON,
    numbers: [141, 140],
    refusedWhen: [
      [
        { argument: 0, match: "one of", values: [PRIO_PROCESS] },
        { argument: 1, match: "one of", values: [SUPERVISOR] },
      ],
    ],
  },
  {
    name: "clone",
    reason: "As unshare; threads and processes are made by the same call.",
    numbers: [56, 220],
    refusedWhen: [[{ argument: 0, mask: CLONE_NEW_ANY, match: "none of", values: [0] }]],
  },
  {
    name: "ioctl",
    reason:
      "TIOCSTI and TIOCLINUX type into a terminal, TIOCSETD loads a line discipline (n_gsm, n_hdlc: a record of holes).",
    numbers: [16, 29],
    refusedWhen: [[{ argument: 1, match: "one of", values: [TIOCSTI, TIOCLINUX, TIOCSETD] }]],
  },
  { name: "socket", reason: SOCKET_REASON, numbers: [41, 198], refusedWhen: UNUSUAL_SOCKETS },
  { name: "socketpair", reason: SOCKET_REASON, numbers: [53, 199], refusedWhen: UNUSUAL_SOCKETS },
  { name: "mknod", reason: DEVICE_REASON, numbers: [133, null], refusedWhen: device(1) },
  { name: "mknodat", reason: DEVICE_REASON, numbers: [259, 33], refusedWhen: device(2) },
  {
    name: "personality",
    reason:
      "Other systems' ways, which nobody tests. Without address randomization a program harms only itself: benchmarks and SBCL turn it off.",
    numbers: [135, 92],
    refusedWhen: [
      [{ argument: 0, match: "none of", values: [PER_LINUX, ADDR_NO_RANDOMIZE, PER_QUERY] }],
    ],
  },
];
