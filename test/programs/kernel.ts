import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

import { attempts, bash, printedJust, python, resultsOf, type Theme } from "./hostile-program.ts";
import { calls, SYSTEM_CALLS_PY } from "./system-calls.ts";

const REFUSED = "Refused by the kernel or by the filter of system calls (EPERM).";
const CORE_PATTERN = "/proc/sys/kernel/core_pattern";
const corePatternBefore = readFileSync(CORE_PATTERN, "utf8");

export const kernel: Theme = {
  title: "The kernel",
  entries: [
    python({
      name: "what it may do at all",
      tries: "Looks for a capability, a missing filter or a way to gain privileges.",
      safeOutcome: "No capability in any set, no_new_privs and a filter of system calls are on.",
      source: `
for line in open("/proc/self/status"):
    name, value = line.split(":\\t")
    if name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"): print(name, int(value, 16))
`,
      expect: printedJust(
        "CapInh 0\nCapPrm 0\nCapEff 0\nCapBnd 0\nCapAmb 0\nNoNewPrivs 1\nSeccomp 2\n",
      ),
    }),
    calls({
      name: "other processes' memory and descriptors",
      tries: "Traces, reads and writes processes, and takes descriptors of others.",
      safeOutcome: REFUSED,
      calls: ["ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"],
    }),
    calls({
      name: "mount",
      tries: "Mounts file systems, binds directories over others, makes / writable again.",
      safeOutcome: REFUSED,
      calls: ["mount", "mount proc", "mount bind", "mount remount", "mount overlay", "umount2"],
    }),
    calls({
      name: "mount by the newer calls",
      tries: "Mounts by the calls that older filters do not know.",
      safeOutcome: REFUSED,
      calls: ["fsopen", "fsmount", "fspick", "open_tree", "move_mount", "mount_setattr"],
    }),
    calls({
      name: "another root",
      tries: "Changes its root with pivot_root and chroot.",
      safeOutcome: REFUSED,
      calls: ["pivot_root", "chroot"],
    }),
    calls({
      name: "user namespaces",
      tries: "Makes namespaces, to be root in them, and enters others'.",
      safeOutcome: REFUSED,
      calls: ["unshare", "unshare mounts", "unshare all", "setns"],
      more: `
def clone(flags):
    def act():
        pid = libc.syscall(ctypes.c_long((56, 220)[on_arm]), ctypes.c_long(flags | 17), ctypes.c_long(0), 0, 0, 0)
        if pid == 0: os._exit(0)
        if pid == -1: raise OSError(ctypes.get_errno(), "")
        os.waitpid(pid, 0)
    return act
for bit in (17, 25, 26, 27, 28, 29, 30): attempt(f"clone {bit}", clone(1 << bit))
`,
      moreNames: [17, 25, 26, 27, 28, 29, 30].map((bit) => `clone ${bit}`),
    }),
    calls({
      name: "calls that nobody has heard of",
      tries: "Makes a call of tomorrow, and clone3, whose flags no filter can see.",
      safeOutcome: "Answered as if this kernel had none (ENOSYS), so that libraries fall back.",
      calls: ["clone3", "an unknown call"],
      errno: "ENOSYS",
    }),
    bash({
      name: "a sandbox in the sandbox",
      tries: "Runs the tools that make namespaces: unshare, nsenter and bubblewrap itself.",
      safeOutcome: "Each is refused.",
      source: `
for tool in "unshare -Ur" "unshare -m" "bwrap --unshare-all --ro-bind / /" "nsenter -t 1 -a" "setpriv --reuid 0" "chroot /"; do
  $tool true 2>/dev/null && echo "$tool worked"
done
echo tried`,
      expect: printedJust("tried\n"),
    }),
    calls({
      name: "programs for the kernel",
      tries: "Loads BPF programs, opens performance counters, handles page faults of others.",
      safeOutcome: REFUSED,
      calls: ["bpf", "perf_event_open", "userfaultfd"],
    }),
    calls({
      name: "io_uring",
      tries: "Works through io_uring, past any filter of system calls.",
      safeOutcome: REFUSED,
      calls: ["io_uring_setup", "io_uring_enter", "io_uring_register"],
    }),
    calls({
      name: "keyrings",
      tries: "Reads and writes the kernel's keyrings, which namespaces do not divide.",
      safeOutcome: REFUSED,
      calls: ["keyctl", "add_key", "request_key"],
    }),
    calls({
      name: "the machine itself",
      tries: "Loads modules, starts another kernel, reboots, changes swap.",
      safeOutcome: REFUSED,
      calls: [
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "swapon",
        "swapoff",
      ],
    }),
    calls({
      name: "names, quotas and accounting",
      tries: "Renames the host, switches its accounting and quotas.",
      safeOutcome: REFUSED,
      calls: ["sethostname", "setdomainname", "acct", "quotactl", "quotactl_fd"],
    }),
    calls({
      name: "clocks and logs of the host",
      tries: "Sets the clock and reads the kernel's log.",
      safeOutcome: REFUSED,
      calls: ["clock_settime", "settimeofday", "clock_adjtime", "syslog"],
    }),
    calls({
      name: "files by handle",
      tries: "Opens files by number instead of by path, the way out of old containers.",
      safeOutcome: REFUSED,
      calls: ["name_to_handle_at", "open_by_handle_at", "fanotify_init", "vmsplice"],
    }),
    calls({
      name: "device nodes",
      tries: "Makes the disk and the memory of the host as device files.",
      safeOutcome: REFUSED,
      calls: ["mknod of a block device", "mknod of a character device"],
    }),
    python({
      name: "system calls of another machine",
      tries: "Makes calls by the 32-bit gate and by the x32 numbers, which a filter may not know.",
      safeOutcome: "The program is killed (SIGSYS).",
      source: `${SYSTEM_CALLS_PY}
import mmap, os, signal
def ended(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return os.waitpid(pid, 0)[1]
def gate32():
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex("b814000000cd80c3"))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
def x32(): libc.syscall(ctypes.c_long(0x40000000 + 39))
if on_arm: print("31 31")
else: print(ended(gate32) & 127, ended(x32) & 127)
`,
      expect: printedJust("31 31\n"),
    }),
    attempts({
      name: "typing into a terminal",
      tries: "Puts characters into a terminal's input, for whoever reads it next.",
      safeOutcome: "TIOCSTI and TIOCLINUX are refused on every terminal, its own included.",
      source: `
import ctypes, fcntl, platform, pty
libc = ctypes.CDLL(None, use_errno=True)
own, other = pty.openpty()
attempt("TIOCSTI", lambda: fcntl.ioctl(other, 0x5412, b"x"))
attempt("TIOCLINUX", lambda: fcntl.ioctl(other, 0x541C, b"\\x02"))
def high_bits():
    number = 29 if platform.machine() == "aarch64" else 16
    if libc.syscall(ctypes.c_long(number), ctypes.c_long(other), ctypes.c_ulong(0x100005412), b"x") == -1:
        raise OSError(ctypes.get_errno(), "")
attempt("TIOCSTI with high bits", high_bits)
`,
      expect: (ended) =>
        expect(resultsOf(ended)).toEqual({
          TIOCSTI: "EPERM",
          TIOCLINUX: "EPERM",
          "TIOCSTI with high bits": "EPERM",
        }),
    }),
    attempts({
      name: "another user",
      tries: "Becomes root or another user by setuid, setgid and setgroups.",
      safeOutcome: "There is no other user in its namespace: refused.",
      source: `
attempt("setuid 0", lambda: os.setuid(0))
attempt("setgid 0", lambda: os.setgid(0))
attempt("setresuid", lambda: os.setresuid(20001, 20001, 20001))
attempt("setgroups", lambda: os.setgroups([0]))
attempt("chown", lambda: os.chown("main.py", 0, 0))
attempt("uid_map", lambda: os.write(os.open("/proc/self/uid_map", os.O_WRONLY), b"0 0 1"))
`,
      expect(ended) {
        const results = Object.values(resultsOf(ended));
        expect(results).toHaveLength(6);
        for (const result of results) expect(["EPERM", "EINVAL", "EACCES"]).toContain(result);
      },
    }),
    bash({
      name: "setuid binaries",
      tries: "Runs the host's setuid programs, and makes one of its own.",
      safeOutcome: "They run as the job: setuid bits have no effect.",
      source: `
for tool in su mount umount passwd chsh newgrp pkexec sudo; do
  path=$(command -v $tool) && "$path" --version >/dev/null 2>&1 </dev/null
done
su -c id root </dev/null 2>/dev/null
cp /usr/bin/id ./own && chmod 6755 ./own && ./own -u
grep -c ' /usr .*nosuid' /proc/self/mountinfo`,
      expect: printedJust("1000\n1\n"),
    }),
    attempts({
      name: "/proc/sys and /sys",
      tries: "Changes the kernel's settings: core handler, host name, sysrq, namespaces, devices.",
      safeOutcome: "Refused, or not there; the host's settings are as they were.",
      source: `
for path, value in (("/proc/sys/kernel/core_pattern", "|/work/x"), ("/proc/sys/kernel/hostname", "owned"),
                    ("/proc/sys/kernel/modprobe", "/work/x"), ("/proc/sys/vm/overcommit_memory", "1"),
                    ("/proc/sys/user/max_user_namespaces", "9999"), ("/proc/sys/fs/binfmt_misc/register", ":"),
                    ("/proc/sys/net/ipv4/ip_forward", "1"), ("/proc/sysrq-trigger", "b"), ("/proc/irq/0/smp_affinity", "1"),
                    ("/sys/kernel/uevent_helper", "/work/x"), ("/sys/fs/cgroup/release_agent", "/work/x"),
                    ("/proc/1/oom_score_adj", "1000"), ("/proc/timer_list", "1")):
    def write():
        with open(path, "w") as file: file.write(value)
    attempt(path, write)
`,
      expect(ended) {
        const results = Object.entries(resultsOf(ended));
        expect(results).toHaveLength(13);
        for (const [, result] of results)
          expect(["EACCES", "EPERM", "EROFS", "ENOENT", "EINVAL"]).toContain(result);
        expect(readFileSync(CORE_PATTERN, "utf8")).toBe(corePatternBefore);
        expect(hostname()).not.toBe("owned");
      },
    }),
    bash({
      name: "devices of the host",
      tries: "Looks for devices beside the harmless ones.",
      safeOutcome: "The harmless ones are all there is.",
      source: `for path in /dev/*; do
  [ ! -L $path ] && { [ -b $path ] || [ -c $path ]; } && printf '%s ' $path
done; true`,
      expect: printedJust("/dev/full /dev/null /dev/random /dev/tty /dev/urandom /dev/zero "),
    }),
  ],
};
