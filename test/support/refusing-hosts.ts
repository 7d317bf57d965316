import { realpathSync } from "node:fs";

/*
 * Commands to start a service with, under which its host lacks something: made with bubblewrap, so that nothing of the
 * machine changes.
 */

/** The same host, less the programs of /usr/bin but these. */
function hostWithOnly(programs: readonly string[]): readonly string[] {
  return [
    ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/usr/bin"],
    ...programs.map((path) => ["--ro-bind", realpathSync(path), path]),
    ["--"],
  ].flat();
}

/** No bubblewrap; Bun where it was. */
export function withoutBubblewrap(): readonly string[] {
  const bun = process.execPath.startsWith("/usr/bin/") ? [process.execPath] : [];
  return hostWithOnly(["/usr/bin/perl", ...bun]);
}

/** An ordinary user who may make no user namespace: there is one already, and it allows no further. */
export function withoutUserNamespaces(): readonly string[] {
  return [
    ["bwrap", "--unshare-user", "--disable-userns", "--uid", "4321", "--gid", "4321"],
    ["--dev-bind", "/", "/", "--"],
  ].flat();
}
