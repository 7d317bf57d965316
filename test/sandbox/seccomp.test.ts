import { describe, expect, test } from "bun:test";

import { seccompFilter } from "../../src/sandbox/seccomp.ts";
import { runFilter } from "../support/bpf.ts";
import { MACHINES, nameOf, numberOf } from "../support/system-calls.ts";

/*
 * The filter is run here, for both machines, over every number and the arguments that matter. What it should say is
 * written out by name, apart from the policy.
 */

const ALLOW = 0x7fff_0000;
const EPERM = 0x0005_0001;
const ENOSYS = 0x0005_0026;
const KILL = 0x8000_0000;

const ARCH = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
const ALL_ONES = Array.from({ length: 6 }, () => 0xffff_ffff_ffff_ffffn);

const REFUSED = new Set(
  `ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd migrate_pages move_pages
  mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr
  setns unshare name_to_handle_at open_by_handle_at fanotify_init fanotify_mark
  bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register vmsplice add_key request_key keyctl
  memfd_secret init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
  sethostname setdomainname acct quotactl quotactl_fd syslog settimeofday clock_settime clock_adjtime adjtimex
  iopl ioperm modify_ldt uselib ustat sysfs vhangup lookup_dcookie`.split(/\s+/),
);
const MISSING = new Set(["clone3", "uretprobe", "uprobe"]);
/** Where no cgroup counts memory. */
const UNCOUNTED = new Map([
  ["shmget", EPERM],
  ["msgget", EPERM],
  ["memfd_create", ENOSYS],
]);
const JUDGED_BY_ARGUMENTS = new Set([
  "prlimit64",
  "sched_setaffinity",
  "sched_setscheduler",
  "sched_setparam",
  "sched_setattr",
  "setpriority",
  "clone",
  "ioctl",
  "socket",
  "socketpair",
  "mknod",
  "mknodat",
  "personality",
]);

/** Without one of these, programs of some language do not start; asked for apart from the rule that allows the rest. */
const ESSENTIAL =
  `read write openat close mmap munmap mprotect brk futex execve execveat exit exit_group fork vfork wait4 waitid
  rt_sigaction rt_sigprocmask rt_sigreturn kill tgkill prctl arch_prctl seccomp prlimit64 getrandom rseq membarrier
  set_robust_list sched_getaffinity sched_yield madvise mremap mincore memfd_create shmget shmat mbind pipe2 dup3 splice
  epoll_create1 epoll_pwait epoll_ctl eventfd2 timerfd_create signalfd4 inotify_init1 pidfd_open pidfd_send_signal
  connect bind listen accept4 sendmsg recvmsg sendmmsg statx newfstatat faccessat2 openat2 close_range fchmodat2
  clock_gettime clock_nanosleep getrusage setsid setuid capget landlock_create_ruleset statmount listmount`.split(
    /\s+/,
  );

type Machine = (typeof MACHINES)[number];

function filterOf(machine: Machine, isMemoryCounted = true): Uint8Array {
  const filter = seccompFilter(machine, { isMemoryCounted });
  if (filter === null) throw new Error(`${machine} has no filter`);
  return filter;
}

function verdict(machine: Machine, nr: number, args: readonly bigint[] = []): number {
  return runFilter(filterOf(machine), { arch: ARCH[machine], nr, args });
}

function expected(name: string | undefined): number {
  if (name === undefined || MISSING.has(name)) return ENOSYS;
  return REFUSED.has(name) ? EPERM : ALLOW;
}

const NUMBERS = [...Array.from({ length: 1024 }, (_, nr) => nr), 65_535, 0x0f_0000, 0x3fff_ffff];

describe.each(MACHINES)("the filter for %s", (machine) => {
  test("says of every number what its name says, whatever the arguments", () => {
    const wrong = NUMBERS.filter((nr) => {
      const name = nameOf(machine, nr);
      if (name !== undefined && JUDGED_BY_ARGUMENTS.has(name)) return false;
      return [[], ALL_ONES].some((args) => verdict(machine, nr, args) !== expected(name));
    });
    expect(wrong.map((nr) => `${nr} ${nameOf(machine, nr)}`)).toEqual([]);
  });

  test("without a cgroup differs in what makes memory of no process, and in nothing else", () => {
    const bare = filterOf(machine, false);
    const differing = NUMBERS.filter(
      (nr) => runFilter(bare, { arch: ARCH[machine], nr, args: [] }) !== verdict(machine, nr),
    ).map((nr) => [nameOf(machine, nr), runFilter(bare, { arch: ARCH[machine], nr, args: [] })]);
    expect(new Map(differing as [string, number][])).toEqual(UNCOUNTED);
  });

  test("lets through what programs cannot do without", () => {
    const refused = ESSENTIAL.filter((name) => {
      const nr = numberOf(machine, name);
      return nr !== undefined && verdict(machine, nr) !== ALLOW;
    });
    expect(refused).toEqual([]);
    expect(ESSENTIAL.filter((name) => numberOf(machine, name) === undefined)).toEqual(
      machine === "x64" ? [] : ["fork", "vfork", "arch_prctl"],
    );
  });

  test("kills calls by the numbers of another machine, and of x32", () => {
    const i386 = 0x4000_0003;
    const arm = 0x4000_0028;
    const foreign = [0, i386, arm, 0xc000_00f3, ...Object.values(ARCH)].filter(
      (arch) => arch !== ARCH[machine],
    );
    for (const arch of foreign)
      for (const nr of [...NUMBERS, 0x4000_0000, 0xffff_ffff])
        expect(runFilter(filterOf(machine), { arch, nr, args: [] })).toBe(KILL);
    for (const nr of [...NUMBERS.map((each) => each + 0x4000_0000), 0xffff_ffff])
      expect(verdict(machine, nr)).toBe(machine === "x64" ? KILL : ENOSYS);
  });
});

const CLONE_THREAD = 0x003d_0f00n;
const SIGCHLD = 17n;
const TCGETS = 0x5401n;
const [AF_INET, AF_INET6, AF_NETLINK] = [2n, 10n, 16n];
const [SOCK_STREAM, SOCK_RAW, SOCK_PACKET, SOCK_CLOEXEC] = [1n, 3n, 10n, 0x8_0000n];

/** A call, its arguments, its verdict. */
const CASES: readonly (readonly [string, readonly bigint[], number])[] = [
  // Oneself, a thread of one's own, and process 1.
  ...[
    "prlimit64",
    "sched_setaffinity",
    "sched_setscheduler",
    "sched_setparam",
    "sched_setattr",
  ].flatMap((name) => [
    [name, [0n, 7n], ALLOW] as const,
    [name, [2n, 1n], ALLOW] as const,
    [name, [1n, 7n], EPERM] as const,
  ]),
  ["setpriority", [0n, 0n], ALLOW],
  ["setpriority", [0n, 2n], ALLOW],
  ["setpriority", [1n, 0n], ALLOW],
  ["setpriority", [0n, 1n], EPERM],
  ["clone", [CLONE_THREAD], ALLOW],
  ["clone", [SIGCHLD], ALLOW],
  // vfork's, as posix_spawn does it.
  ["clone", [0x4100n | SIGCHLD], ALLOW],
  ["clone", [0x0120_0000n | SIGCHLD], ALLOW],
  ...[0x0002_0000n, 0x0200_0000n, 0x0400_0000n, 0x0800_0000n, 0x1000_0000n, 0x2000_0000n].flatMap(
    (flag) => [
      ["clone", [flag], EPERM] as const,
      ["clone", [flag | CLONE_THREAD | SIGCHLD], EPERM] as const,
    ],
  ),
  ["clone", [0x4000_0000n | SIGCHLD], EPERM],
  ["ioctl", [0n, TCGETS], ALLOW],
  // FIONBIO, FIONREAD and TIOCGWINSZ.
  ...[0x5421n, 0x541bn, 0x5413n].map((cmd) => ["ioctl", [1n, cmd], ALLOW] as const),
  ...[0x5412n, 0x541cn, 0x5423n].map((cmd) => ["ioctl", [0n, cmd], EPERM] as const),
  ...["socket", "socketpair"].flatMap((name) => [
    [name, [1n, SOCK_STREAM | SOCK_CLOEXEC, 0n], ALLOW] as const,
    [name, [AF_INET, SOCK_STREAM, 6n], ALLOW] as const,
    [name, [AF_INET6, 2n, 17n], ALLOW] as const,
    [name, [AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0n], ALLOW] as const,
    // Every other protocol of netlink: audit, generic, netfilter, crypto and the rest.
    ...Array.from(
      { length: 31 },
      (_, protocol) => [name, [AF_NETLINK, SOCK_RAW, BigInt(protocol) + 1n], EPERM] as const,
    ),
    [name, [AF_INET, SOCK_PACKET, 0n], EPERM] as const,
    [name, [AF_INET, SOCK_PACKET | SOCK_CLOEXEC, 3n], EPERM] as const,
    ...Array.from({ length: 64 }, (_, family) => BigInt(family))
      .filter((family) => ![1n, AF_INET, AF_INET6, AF_NETLINK].includes(family))
      .map((family) => [name, [family, SOCK_STREAM, 0n], EPERM] as const),
    [name, [0xffff_ffffn, SOCK_STREAM, 0n], EPERM] as const,
  ]),
  // Mode: none, regular, FIFO, socket.
  ...[0o644n, 0o100644n, 0o010644n, 0o140644n].flatMap((mode) => [
    ["mknod", [0n, mode, 0n], ALLOW] as const,
    ["mknodat", [0n, 0n, mode, 0n], ALLOW] as const,
  ]),
  ...[0o020666n, 0o060600n].flatMap((mode) => [
    ["mknod", [0n, mode, 0x103n], EPERM] as const,
    ["mknodat", [0n, 0n, mode, 0x103n], EPERM] as const,
  ]),
  ...[0n, 0x4_0000n, 0xffff_ffffn].map((persona) => ["personality", [persona], ALLOW] as const),
  // READ_IMPLIES_EXEC, UNAME26, PER_LINUX32, PER_SVR4, and an allowed flag beside one that is not.
  ...[0x40_0000n, 0x2_0000n, 8n, 0x0410_0001n, 0x44_0000n].map(
    (persona) => ["personality", [persona], EPERM] as const,
  ),
];

describe.each(MACHINES)("arguments on %s", (machine) => {
  test("decide over what the policy lets through for some of them", () => {
    expect(new Set(CASES.map(([name]) => name))).toEqual(JUDGED_BY_ARGUMENTS);
    expect(wrongVerdicts((args) => args)).toEqual([]);
  });

  test("are compared by their low half, which is what the kernel reads", () => {
    expect(wrongVerdicts((args) => args.map((each) => each | 0x1_0000_0000n))).toEqual([]);
    expect(wrongVerdicts((args) => args.map((each) => each | 0xdead_beef_0000_0000n))).toEqual([]);
  });

  function wrongVerdicts(change: (args: readonly bigint[]) => readonly bigint[]) {
    return CASES.filter(([name, args, wanted]) => {
      const nr = numberOf(machine, name);
      return nr !== undefined && verdict(machine, nr, change(args)) !== wanted;
    });
  }
});

test("there is none for a machine whose numbers nobody has written down", () => {
  for (const arch of ["riscv64", "ia32", "arm", "x32", ""])
    expect(seccompFilter(arch, { isMemoryCounted: true })).toBeNull();
});
