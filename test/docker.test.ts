import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { checkExposure, loadConfig } from "../src/config.ts";
import { MISSING, REFUSED } from "../src/sandbox/seccomp-policy.ts";
import { MACHINES, numberOf } from "./support/system-calls.ts";

/*
 * The container's settings, as far as they can be judged without a container engine: the seccomp profile by what it
 * names, the rest by its text. docker/README.md says what was run with an engine.
 */

const PROJECT = join(import.meta.dir, "..");
const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");

/** As Docker reads it: github.com/moby/profiles/seccomp, Seccomp and LinuxSyscall. */
interface Profile {
  readonly defaultAction: string;
  readonly architectures: readonly string[];
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errnoRet: number;
    readonly comment: string;
  }[];
}

const profile = JSON.parse(read("docker/seccomp.json")) as Profile;
const refused = profile.syscalls.flatMap(({ names }) => names);

describe("docker/seccomp.json", () => {
  test("allows what it does not name, on the two machines that jobs are filtered on", () => {
    expect(Object.keys(profile).toSorted()).toEqual(["architectures", "defaultAction", "syscalls"]);
    expect(profile.defaultAction).toBe("SCMP_ACT_ALLOW");
    expect(profile.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
  });

  test("refuses its groups with EPERM, whatever their arguments, and says why", () => {
    for (const group of profile.syscalls) {
      expect(Object.keys(group).toSorted()).toEqual(["action", "comment", "errnoRet", "names"]);
      expect(group).toMatchObject({ action: "SCMP_ACT_ERRNO", errnoRet: 1 });
      expect(group.comment).toEndWith(".");
    }
  });

  test("names system calls only, each once: an unknown name is passed over in silence", () => {
    const known = (name: string) =>
      MACHINES.some((machine) => numberOf(machine, name) !== undefined);
    expect(refused.filter((name) => !known(name))).toEqual([]);
    expect(refused.filter((name, index) => refused.indexOf(name) !== index)).toEqual([]);
  });

  // `strace -f` of a start with its self-test, and of a job with a thread, a child and an artifact (bubblewrap 0.8, Bun
  // 1.4.5, perl 5.36, Python 3.11, x86_64), less keyctl, which the self-test only tries.
  const SEEN = `
    accept4 access arch_prctl bind brk capget capset chdir chmod clone clone3 close close_range connect copy_file_range
    creat dup2 epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 eventfd2 execve exit exit_group faccessat2 fchdir fchmod
    fcntl fdatasync fstat fstatfs fsync ftruncate futex getcwd getdents64 getegid geteuid getgid getpgrp getpid getppid
    getrandom getresgid getresuid getrusage getsockname gettid getuid ioctl kill listen lseek lstat madvise memfd_create
    mkdir mmap mount mprotect munmap newfstatat open openat pidfd_open pipe2 pivot_root pkey_alloc poll prctl pread64
    preadv2 prlimit64 pselect6 pwrite64 read readlink readlinkat recvfrom rename restart_syscall rmdir rseq rt_sigaction
    rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield sendto set_robust_list set_tid_address setgroups
    sethostname setpgid setresgid setresuid setsid setsockopt sigaltstack signalfd4 socket socketpair stat statfs statx
    symlink sysinfo umask umount2 uname unlink unshare vfork wait4 write
  `;
  // Not in that trace: bubblewrap's filter through seccomp(2), what root's service needs, and the same calls by the
  // names that aarch64 has for them.
  const NEEDED_AS_WELL = `
    seccomp chown fchown setuid setgid execveat fork ppoll dup3 mkdirat unlinkat symlinkat renameat renameat2 fchmodat
    fchownat sendmsg recvmsg shutdown nanosleep clock_gettime clock_nanosleep waitid getsockopt getpeername
  `;

  test("refuses nothing that bubblewrap, the service or its supervisor calls", () => {
    const needed = `${SEEN} ${NEEDED_AS_WELL}`.trim().split(/\s+/);
    expect(needed.filter((name) => refused.includes(name))).toEqual([]);
  });

  /** What jobs are refused by their own filter, and the container is not; with the reason. */
  const LEFT_TO_JOBS: Readonly<Record<string, string>> = {
    clone3: "makes Bun's threads",
    mount: "bubblewrap builds a sandbox's file systems with it",
    umount2: "bubblewrap takes the old root away with it",
    pivot_root: "bubblewrap changes to the sandbox's root with it",
    unshare: "bubblewrap's --disable-userns",
    sethostname: "bubblewrap names the sandbox with it",
  };

  test("refuses whatever jobs are refused outright, but for what makes their sandbox", () => {
    const ofJobs = [...REFUSED.flatMap(({ calls }) => Object.keys(calls)), ...Object.keys(MISSING)];
    const left = ofJobs.filter((name) => !refused.includes(name));
    expect(left.toSorted()).toEqual(Object.keys(LEFT_TO_JOBS).toSorted());
  });
});

describe("the options of the container", () => {
  const OPTIONS = [
    "no-new-privileges",
    "seccomp=docker/seccomp.json",
    "systempaths=unconfined",
    "apparmor=unconfined",
  ];
  const sorted = (options: readonly string[]) => options.toSorted();
  const OF_COMMANDS = /--security-opt ([\w./=-]+)/g;
  const found = (text: string, pattern: RegExp) =>
    [...text.matchAll(pattern)].flatMap(([, option]) => (option === undefined ? [] : [option]));

  test.each(["Dockerfile", "README.md"])("%s starts it with all of them, and no more", (path) => {
    const command = /docker run --rm[\s\S]*? job-runner\n/.exec(read(path))?.[0] ?? "";
    expect(sorted(found(command, OF_COMMANDS))).toEqual(sorted(OPTIONS));
    expect(command).toContain("--cap-drop ALL");
  });

  test("compose.yaml gives them to the worker, and drops every capability", () => {
    const { services } = Bun.YAML.parse(read("compose.yaml")) as {
      services: Readonly<Record<string, { security_opt?: string[]; cap_drop?: string[] }>>;
    };
    const ofWorker = (services["worker"]?.security_opt ?? []).map((option) =>
      option.replace(/:true$/, ""),
    );
    expect(sorted(ofWorker)).toEqual(sorted(OPTIONS));
    for (const name of ["api", "worker", "data"]) expect(services[name]?.cap_drop).toEqual(["ALL"]);
    expect(JSON.stringify(services)).not.toContain("privileged");
  });

  test.each(["api", "worker"])(
    "compose.yaml's %s starts with what it and the image set",
    (name) => {
      const { services } = Bun.YAML.parse(read("compose.yaml")) as {
        services: Readonly<Record<string, { environment: Readonly<Record<string, string>> }>>;
      };
      const ofImage = /^ENV (.*)$/m.exec(read("Dockerfile"))?.[1]?.split(" ") ?? [];
      const environment = {
        ...Object.fromEntries(ofImage.map((pair) => pair.split("="))),
        ...services[name]?.environment,
      };
      expect(environment).toMatchObject({ JOB_DATA_DIR: "/data", INLINE_WORKER: "0" });
      const config = loadConfig(environment);
      expect(config.redisUrl).toBe("redis://redis:6379/0");
      checkExposure(config, false);
    },
  );

  test("compose.yaml's worker tells its metrics to its network, and not to the host's", () => {
    const { services } = Bun.YAML.parse(read("compose.yaml")) as {
      services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
    const { environment, expose, ports, healthcheck, network_mode } = services["worker"] ?? {};
    const { HOST, ...rest } = environment as Readonly<Record<string, string>>;
    // The image's, which is every address of the container.
    expect(HOST).toBeUndefined();
    const config = loadConfig({ HOST: "0.0.0.0", ...rest });
    expect(config).toMatchObject({ metricsPort: 9101, allowedHosts: ["worker"] });
    expect([expose, ports, network_mode]).toEqual([["9101"], undefined, undefined]);
    expect(JSON.stringify(healthcheck)).toContain("127.0.0.1:9101/livez");
    expect(read("README.md")).toContain("`worker:9101`");
  });

  test("docker/README.md has a row for each", () => {
    const rows = found(read("docker/README.md"), /^\| `([^`]+)`/gm);
    expect(OPTIONS.filter((option) => !rows.includes(option))).toEqual([]);
    expect(rows).toContain("cap_drop: ALL");
  });

  test("what /health tells to start the container with are those that the sandbox needs", () => {
    const told = found(read("src/sandbox/diagnosis.ts"), /option: "([^"]+)"/g);
    expect(sorted([...told, "no-new-privileges"])).toEqual(sorted(OPTIONS));
  });
});
