import { dirname, join } from "node:path";
import { MIB } from "../../jobs/limits.ts";
import { COMPILER_NEEDS, programPath, runMade } from "./compiler.ts";
import { asPath, findPrograms, folderMounts, versionBins } from "./find-binary.ts";
import type { Language } from "./language.ts";

/*
 * Go compiles the standard library with each program: since 1.20 it comes as source alone. That takes ten seconds and more,
 * and is what its cache is for: it is filled once with what programs commonly import, and given to each compile.
 */

/** Where Go has its cache below HOME, which is the working directory ("go help environment", GOCACHE). */
const CACHE_FOLDER = ".cache/go-build";

/** With all that these import themselves. A program that imports another package compiles that one along. */
const COMMON_PACKAGES = [
  ["bufio", "bytes", "cmp", "container/heap", "container/list", "context", "crypto/md5"],
  ["crypto/sha256", "encoding/base64", "encoding/binary", "encoding/csv", "encoding/hex"],
  ["encoding/json", "errors", "flag", "fmt", "hash/fnv", "io", "log", "maps", "math", "math/big"],
  ["math/bits", "math/rand", "os", "os/signal", "path/filepath", "reflect", "regexp", "slices"],
  ["sort", "strconv", "strings", "sync", "sync/atomic", "text/tabwriter", "time", "unicode"],
].flat();

const ENV = {
  // No network, no git, no C compiler, no other version of Go: what a program cannot have is said at once.
  GOPROXY: "off",
  GOTOOLCHAIN: "local",
  GOENV: "off",
  // A folder without a go.mod is a package as well.
  GO111MODULE: "auto",
  CGO_ENABLED: "0",
  GOFLAGS: "-buildvcs=false",
  GOPATH: "/tmp/go",
  // Each of the compilers beside each other takes memory and threads; on a machine with many cores that is too much.
  GOMAXPROCS: "4",
};

export const go: Language = {
  name: "go",
  hint: "apt-get install golang-go, or https://go.dev/dl in /usr/local/go with its bin on PATH",
  extensions: [".go"],
  defaultAliases: ["golang"],
  trial: () => ({
    entry: "trial.go",
    source: "package main\n\nfunc main() {}\n",
    // Compiles without linking, which would need the compiled standard library.
    argv: (binary) => [
      "/bin/sh",
      "-c",
      '"$1" tool compile -p main -o /tmp/trial.o ./trial.go && version=$("$1" env GOVERSION) && echo "${version#go}"',
      "sh",
      binary,
    ],
  }),
  async candidates({ binDirectories, homeDirectory: home }) {
    const managed = await Promise.all(
      [join(home, ".local/share/mise/installs/go"), join(home, "sdk")].map(versionBins),
    );
    return await findPrograms({
      name: "go",
      programs: ["go"],
      directories: [...binDirectories, "/usr/local/go/bin", ...managed.flat()],
      realName: /^go$/,
    });
  },
  describe({ binary, name }) {
    const mounts = folderMounts(binary, ["bin", "lib", "pkg", "src", "VERSION"]);
    if (mounts === null) return null;
    return {
      name,
      binary,
      mounts,
      // A Go program reserves address space of several times what it uses.
      memoryLimit: "data",
      argv: runMade,
      env: (jobEnv) => jobEnv,
      compile: {
        // The entry's folder is its package: Go itself knows which of its files are for this system, and which are tests.
        argv: (sources) =>
          [[binary, "build", "-o", programPath(sources)], asPath(dirname(sources.entry))].flat(),
        env: ENV,
        memoryLimit: "data",
        needs: { ...COMPILER_NEEDS, memoryBytes: 768 * MIB },
        makesProgram: true,
        base: { argv: [binary, "build", ...COMMON_PACKAGES], folder: CACHE_FOLDER },
      },
    };
  },
};
