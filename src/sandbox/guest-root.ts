import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * The few host files that every guest sees. /etc is made here instead of shared: the host's has names of users, hosts and
 * services, and configuration with secrets.
 */

export interface GuestRoot {
  /** Directory that becomes /etc. */
  readonly etc: string;
  /** Host directories that are laid over empty ones of the generated /etc, at the same path. */
  readonly etcMounts: readonly string[];
  /** Copies of the supervisor's files that a guest's uid can read, wherever this service is installed. */
  readonly supervisorDir: string;
}

/** The ids that a guest sees itself under. */
export const GUEST_ID = 1000;
/** Where the guest sees `supervisorDir`. */
export const SUPERVISOR_DIR_IN_GUEST = "/run/supervisor";
/** The file in it that is run. */
export const SUPERVISOR = "supervisor.pl";

const SUPERVISOR_FILES = [SUPERVISOR, "waiting.pl", "attendant.pl", "collector.pl", "forwarder.pl"];

const GENERATED: Readonly<Record<string, string>> = {
  passwd: `root:x:0:0:root:/:/usr/sbin/nologin\nguest:x:${GUEST_ID}:${GUEST_ID}:guest:/work:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`,
  group: `root:x:0:\nguest:x:${GUEST_ID}:\nnogroup:x:65534:\n`,
  hosts: "127.0.0.1 localhost sandbox\n::1 localhost\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  "resolv.conf": "",
};

/** Public, world-readable files that programs need: the linker's cache, the time zone, OpenSSL's settings. */
const COPIED = ["ld.so.cache", "localtime", "ssl/openssl.cnf"];
/**
 * alternatives: targets of many links in /usr/bin; then CA certificates on Debian and Fedora; R: where Debian keeps the
 * settings without which its R does not start.
 */
const MOUNTED = ["alternatives", "ssl/certs", "pki/tls/certs", "pki/ca-trust", "R"];
/** The same of Debian's Java, one for each version. */
const JAVA_SETTINGS = /^java-\d+-openjdk$/;

/**
 * Writes them under `runtimeDir`, made with 0755 where it is missing: a guest's uid must be able to reach it. Throws
 * what the file system throws.
 */
export function createGuestRoot(runtimeDir: string): GuestRoot {
  const etc = join(runtimeDir, "etc");
  for (const directory of [runtimeDir, etc, join(etc, "ssl")]) makeReadable(directory);
  for (const [name, text] of Object.entries(GENERATED))
    publish(join(etc, name), (path) => writeFileSync(path, text));
  for (const name of COPIED.filter((each) => existsSync(join("/etc", each))))
    publish(join(etc, name), (path) => copyFileSync(join("/etc", name), path));
  const javaSettings = readdirSync("/etc").filter((name) => JAVA_SETTINGS.test(name));
  const etcMounts = [...MOUNTED, ...javaSettings]
    .map((name) => join("/etc", name))
    .filter(existsSync);
  for (const mount of etcMounts)
    mkdirSync(join(runtimeDir, mount), { recursive: true, mode: 0o755 });
  const supervisorDir = join(runtimeDir, "supervisor");
  makeReadable(supervisorDir);
  for (const name of SUPERVISOR_FILES) {
    const source = fileURLToPath(new URL(`./${name}`, import.meta.url));
    publish(join(supervisorDir, name), (path) => copyFileSync(source, path));
  }
  return { etc, etcMounts, supervisorDir };
}

/** The umask of the service may have taken the others' bits. */
function makeReadable(directory: string): void {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
}

function publish(path: string, write: (path: string) => void): void {
  write(path);
  chmodSync(path, 0o644);
}
