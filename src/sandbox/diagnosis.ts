import { existsSync, readFileSync } from "node:fs";

/*
 * Why a host does not let bubblewrap work, and the command or option that mends it. The kernel only says "Operation not
 * permitted", so that the settings which are known to be behind it are looked at.
 */

export interface HostFacts {
  /** Whether this process is inside a container. */
  readonly isContainer: boolean;
  /** Settings by their names for sysctl(8); absent where this kernel has none of that name. */
  readonly sysctl: Readonly<Record<string, string>>;
}

interface Setting {
  readonly name: string;
  readonly isRefusing: (value: string) => boolean;
  readonly mended: string;
}

const MAX_NAMESPACES: Setting = {
  name: "user.max_user_namespaces",
  isRefusing: (value) => Number(value) < 2,
  mended: "15000",
};

const SETTINGS: readonly Setting[] = [
  // Debian's own, from before user namespaces were trusted.
  {
    name: "kernel.unprivileged_userns_clone",
    isRefusing: (value) => value === "0",
    mended: "1",
  },
  // user_namespaces(7).
  MAX_NAMESPACES,
  // Ubuntu 23.10 and later.
  {
    name: "kernel.apparmor_restrict_unprivileged_userns",
    isRefusing: (value) => value === "1",
    mended: "0",
  },
];

interface ContainerOption {
  readonly option: string;
  /** What bubblewrap 0.8 says where it is missing. */
  readonly isMissing: RegExp;
  readonly why: string;
}

const CONTAINER_OPTIONS: readonly ContainerOption[] = [
  {
    option: "seccomp=docker/seccomp.json",
    isMissing: /creat\w* new namespace|pivot_root|set hostname/i,
    why: "the container's seccomp profile refuses what makes a sandbox",
  },
  {
    // mount_too_revealing() in the kernel's fs/namespace.c.
    option: "systempaths=unconfined",
    isMissing: /mount proc/i,
    why: "parts of the container's /proc are masked, so that the kernel refuses a sandbox one of its own",
  },
  {
    // The first mount that bubblewrap makes; Docker's AppArmor profile denies every one with EACCES.
    option: "apparmor=unconfined",
    isMissing: /make \/ slave/i,
    why: "AppArmor refuses every mount",
  },
];

const ALL_OPTIONS = CONTAINER_OPTIONS.map(({ option }) => `--security-opt ${option}`).join(" ");

export function readHostFacts(): HostFacts {
  const found = SETTINGS.flatMap(({ name }) => {
    const path = `/proc/sys/${name.replaceAll(".", "/")}`;
    return existsSync(path) ? [[name, readFileSync(path, "utf8").trim()] as const] : [];
  });
  return {
    // Docker's mark, and podman's.
    isContainer: ["/.dockerenv", "/run/.containerenv"].some(existsSync),
    sysctl: Object.fromEntries(found),
  };
}

/** What bubblewrap said, with the remedy where it is a refusal of the host's; else as it is. */
export function explainRefusal(problem: string, host: HostFacts): string {
  if (/Unknown option/i.test(problem))
    return `${problem}. bubblewrap 0.8 or newer is needed: install a newer one.`;
  if (
    !/namespace|uid map|loopback|Operation not permitted|Permission denied|No space left/i.test(
      problem,
    )
  )
    return problem;
  const refusing = SETTINGS.filter(({ name, isRefusing }) => {
    const value = host.sysctl[name];
    return value !== undefined && isRefusing(value);
  });
  // user_namespaces(7): the limit of a namespace above this one, which cannot be read from here.
  if (problem.includes("ENOSPC") && !refusing.includes(MAX_NAMESPACES))
    refusing.push(MAX_NAMESPACES);
  const commands = refusing.map(({ name, mended }) => `sysctl -w ${name}=${mended}`);
  const remedies = [
    ...(commands.length > 0 ? [`On the host, as root: ${commands.join(" && ")}.`] : []),
    ...(host.isContainer ? [containerRemedy(problem)] : []),
  ];
  if (remedies.length === 0)
    remedies.push(
      `Whatever started this service forbids it. In a container: ${containerRemedy(problem)} Under systemd set RestrictNamespaces=no; on a host with SELinux or AppArmor allow bwrap to make user namespaces.`,
    );
  return `${problem.replace(/\.$/, "")}. The host does not let bubblewrap make a sandbox. ${remedies.join(" ")}`;
}

function containerRemedy(problem: string): string {
  const missing = CONTAINER_OPTIONS.find(({ isMissing }) => isMissing.test(problem));
  const first =
    missing === undefined ? "" : ` ${missing.option} seems to be missing: ${missing.why}.`;
  return `Start the container with: ${ALL_OPTIONS} (docker/README.md has podman's and Kubernetes' names).${first}`;
}
