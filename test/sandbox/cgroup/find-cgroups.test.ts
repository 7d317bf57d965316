import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { findCgroups } from "../../../src/sandbox/cgroup/find-cgroups.ts";

/* On directories made after what /proc/self/mountinfo and /proc/self/cgroup say on real hosts. */

const place = mkdtempSync(join(tmpdir(), "job-runner-find-cgroups-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));
let made = 0;

function files(entries: Readonly<Record<string, string>>): string {
  made += 1;
  const root = join(place, String(made));
  mkdirSync(root);
  for (const [path, text] of Object.entries(entries)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const v2Mount = (root: string, within = "/") =>
  `30 24 0:26 ${within} ${root} rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n`;
const v1Mount = (root: string, controllers: string, within = "/") =>
  `31 24 0:27 ${within} ${root}/${controllers} rw,relatime shared:5 - cgroup cgroup rw,${controllers}\n`;
const v2Files = (base: string, enabled: string) => ({
  [`${base}cgroup.controllers`]: "cpuset cpu io memory pids\n",
  [`${base}cgroup.subtree_control`]: `${enabled}\n`,
  [`${base}cgroup.procs`]: "100\n101\n",
});

describe("version 2", () => {
  test("at the top of what is mounted, with the controllers that were off", () => {
    const root = files({
      ...v2Files("", "memory pids"),
      ...v2Files("job-runner/", ""),
    });
    const { hierarchy } = findCgroups({ mountInfo: v2Mount(root), ownCgroups: "0::/user.slice\n" });
    expect(hierarchy).toMatchObject({ version: "v2", parents: [join(root, "job-runner")] });
    expect(readFileSync(join(root, "cgroup.subtree_control"), "utf8")).toBe("+cpu");
    expect(readFileSync(join(root, "job-runner/cgroup.subtree_control"), "utf8")).toBe(
      "+memory +pids +cpu",
    );
  });

  test("below the service's own where the top lacks a controller; the path in a container is relative", () => {
    const root = files({
      ...v2Files("", "cpu memory pids"),
      "cgroup.controllers": "cpu memory\n",
      ...v2Files("job-runner/", ""),
      ...v2Files("app.service/", "cpu memory pids"),
      ...v2Files("app.service/job-runner/", "cpu memory pids"),
    });
    const view = {
      mountInfo: v2Mount(root, "/system.slice"),
      ownCgroups: "0::/system.slice/app.service\n",
    };
    const found = findCgroups(view);
    // The fixture's top has memory, so that v2 is the one; it lacks pids.
    expect(found.hierarchy?.parents).toEqual([join(root, "app.service/job-runner")]);
  });

  test("a missing controller is named", () => {
    const root = files({
      ...v2Files("", "memory"),
      "cgroup.controllers": "memory\n",
      ...v2Files("job-runner/", ""),
    });
    const { problem } = findCgroups({ mountInfo: v2Mount(root), ownCgroups: "0::/\n" });
    expect(problem).toContain("pids and cpu");
  });
});

describe("version 1", () => {
  const all = {
    "memory/own/job-runner/cgroup.procs": "",
    "pids/job-runner/cgroup.procs": "",
    "cpu,cpuacct/job-runner/cgroup.procs": "",
  };
  const mountsOf = (root: string) =>
    ["memory", "pids", "cpu,cpuacct"].map((each) => v1Mount(root, each)).join("");

  test("below the service's own cgroup of each controller, also beside an empty v2", () => {
    const root = files({ ...all, "unified/cgroup.controllers": "\n" });
    const { hierarchy } = findCgroups({
      mountInfo: mountsOf(root) + v2Mount(join(root, "unified")),
      ownCgroups: "4:memory:/own\n8:pids:/\n2:cpu,cpuacct:/\n0::/x\n",
    });
    expect(hierarchy).toMatchObject({
      version: "v1",
      parents: [
        join(root, "memory/own/job-runner"),
        join(root, "pids/job-runner"),
        join(root, "cpu,cpuacct/job-runner"),
      ],
    });
  });

  test("a controller that is not mounted is named", () => {
    const root = files({ ...all, "memory/job-runner/cgroup.procs": "" });
    const { problem } = findCgroups({ mountInfo: v1Mount(root, "memory"), ownCgroups: "" });
    expect(problem).toContain("the controller pids is not mounted");
  });
});

test("a directory that is no cgroup, as where something is mounted over it, is none", () => {
  const root = files({ "memory/tasks": "" });
  const { problem } = findCgroups({ mountInfo: v1Mount(root, "memory"), ownCgroups: "" });
  expect(problem).toContain("is no cgroup");
});

test("no cgroups at all", () => {
  expect(findCgroups({ mountInfo: "", ownCgroups: "" }).problem).toContain("No cgroup");
});
