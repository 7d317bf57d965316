import { programsOf } from "./warm-program.ts";

const bash = programsOf("main.sh", "sandbox");

/** Programs of the shell, for which a sandbox waits and no interpreter. */
export const shell = [
  bash(
    "itself",
    "main.sh a b",
    `echo "$0 $*" $# $$ $PPID $BASHPID "$BASH_SOURCE" "$-" "$PWD" "$SHLVL" "$_"; env | sort; set -o; umask; ulimit -a; trap; jobs
cat /proc/self/limits /proc/self/oom_score_adj; tr '\\0' '\\n' < /proc/$$/cmdline; grep -E 'Sig|Cap|Seccomp|NSpid' /proc/$$/status; ls /proc/self/fd`,
    {
      spec: { args: ["a", "b", "", "c d"], env: { GREETING: "zwölf" } },
    },
  ),
  bash(
    "stdin",
    "read line one",
    "read -r line; echo read $line; cat; stat -c %s /dev/stdin; head -c 3 < /dev/stdin",
    { spec: { stdin: "line one\nline two\n" } },
  ),
  bash("no stdin", "none", "read -r line || echo none $?; wc -c"),
  bash(
    "children and signals",
    "ended 143",
    "(sleep 5) & kill $!; wait $!; echo ended $?; sh -c 'kill -9 $$'; echo $?; yes | head -n 2; exec bash -c 'echo $$ $0; exit 9' again",
  ),
  bash(
    "what it leaves running",
    "left",
    "sleep 100 & setsid sleep 100 & nohup sleep 100 >/dev/null & echo left",
  ),
  bash("an error", "line 2", "echo before\nnot-a-program x\nset -e; false; echo after"),
  bash(
    "SIGTERM to itself",
    "before",
    "trap 'echo at exit' EXIT; echo before; kill -TERM $$; echo after",
  ),
  bash(
    "files that it makes",
    "made",
    "mkdir -p a/b; echo made | tee a/b/c.txt; ln -s c.txt a/b/link; chmod +x main.sh; stat -c '%n %A %s %u' a/b/c.txt . /tmp; ls -A . /tmp",
  ),
];
