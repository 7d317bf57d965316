import { basename, dirname, join, relative } from "node:path";
import { MIB } from "../../jobs/limits.ts";
import type { Program, Sources } from "../runtime.ts";
import { COMPILER_NEEDS, stemOf } from "./compiler.ts";
import { asPath, findPrograms, folderMounts, versionBins } from "./find-binary.ts";
import type { Language } from "./language.ts";

/*
 * Java takes the memory of the whole machine for its own, of which it would use a quarter: its heap is told what the job has.
 */

/** What starts sooner and takes less, for programs that run for seconds: no threads of a collector, no file of counters. */
const SMALL = ["-XX:+UseSerialGC", "-XX:-UsePerfData"];
/** javac is a Java program too. */
const COMPILER = [...SMALL, "-XX:TieredStopAtLevel=1", "-Xmx320m"].map((option) => `-J${option}`);
/** What Java takes beside its heap: classes, compiled code, stacks. */
const BESIDE_HEAP_BYTES = 160 * MIB;
/** The same without a cgroup, where what is reserved as writable counts, used or not. */
const RESERVE_BYTES = 128 * MIB;

export const java: Language = {
  name: "java",
  hint: "apt-get install default-jdk-headless",
  extensions: [".java"],
  defaultAliases: [],
  trial: () => ({
    entry: "Trial.java",
    source:
      'class Trial { public static void main(String[] args) { System.out.println(System.getProperty("java.version")); } }\n',
  }),
  async candidates({ binDirectories, homeDirectory: home }) {
    const managed = await Promise.all(
      [
        join(home, ".sdkman/candidates/java"),
        join(home, ".local/share/mise/installs/java"),
        join(home, ".asdf/installs/java"),
        "/usr/lib/jvm",
        "/opt/java",
      ].map(versionBins),
    );
    return await findPrograms({
      name: "java",
      programs: ["javac"],
      directories: [...binDirectories, ...managed.flat()],
      realName: /^javac$/,
    });
  },
  describe({ binary, name }) {
    const mounts = folderMounts(binary, ["bin", "conf", "lib"]);
    if (mounts === null) return null;
    return {
      name,
      binary,
      mounts,
      memoryLimit: "data",
      memoryReserveBytes: RESERVE_BYTES,
      argv: (program) => runArgv(join(dirname(binary), "java"), program),
      env: (jobEnv) => jobEnv,
      compile: {
        argv: (sources) =>
          [
            [binary, ...COMPILER, "-encoding", "UTF-8", "-proc:none", "-cp", "."],
            ["-d", sources.folder, ...javaFiles(sources).map(asPath)],
          ].flat(),
        env: {},
        memoryLimit: "data",
        needs: { ...COMPILER_NEEDS, memoryBytes: 512 * MIB + RESERVE_BYTES },
        makesProgram: false,
      },
    };
  },
};

/** All of them, wherever they are: a package is a folder, and the entry's may need one beside it. */
function javaFiles({ entry, files }: Sources): readonly string[] {
  const others = files.filter((path) => path !== entry && path.endsWith(".java"));
  return [entry, ...others.toSorted()];
}

function runArgv(binary: string, program: Program): readonly string[] {
  const { entry, made, args, memoryBytes } = program;
  const [folder = ""] = made[0]?.split("/") ?? [];
  const classFiles = made.map((path) => relative(folder, path));
  const heapBytes = Math.max(memoryBytes - BESIDE_HEAP_BYTES, memoryBytes / 2);
  return [
    [binary, ...SMALL, "-Xms8m", `-Xmx${Math.floor(heapBytes / MIB)}m`],
    ["-cp", `${folder}:.`, mainClass(entry, classFiles), ...args],
  ].flat();
}

/**
 * The class with the name of the entry's file. Of several, in packages of their own, the one whose package the entry's folders
 * end with. Where there is none, Java says so.
 */
export function mainClass(entry: string, classFiles: readonly string[]): string {
  const wanted = `${stemOf(entry)}.class`;
  const found = classFiles
    .filter((path) => basename(path) === wanted)
    .map((path) => path.slice(0, -".class".length))
    .toSorted((a, b) => b.length - a.length);
  const entryPath = entry.slice(0, -".java".length);
  const chosen = found.find((path) => entryPath === path || entryPath.endsWith(`/${path}`));
  return (chosen ?? found[0] ?? stemOf(entry)).replaceAll("/", ".");
}
