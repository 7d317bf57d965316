#!/bin/sh
# Makes this machine ready to run the service, or to test it: missing system packages, Bun, the npm packages.
# Says each thing it does; what is already there is left alone, so it may be run at any time.
#
#   ./setup.sh           to run the service
#   ./setup.sh --tests   to run its tests as well, which takes Redis, compilers and a browser
set -eu
cd "$(dirname "$0")"

for_tests=""
case ${1-} in
  "") ;;
  --tests) for_tests=yes ;;
  *)
    echo "setup: unknown argument $1; there is only --tests" >&2
    exit 2
    ;;
esac

bun_version=$(sed -n 's/.*"packageManager": "bun@\([0-9.]*\)".*/\1/p' package.json)
[ -n "$bun_version" ] || { echo "setup: package.json names no Bun version" >&2; exit 1; }

: "${HOME:=/root}"
say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# How to act as root here: "env" when we are root, sudo where it asks for no password, empty where we cannot.
as_root=""
if [ "$(id -u)" -eq 0 ]; then
  as_root="env"
elif has sudo && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
fi

# ---- system packages --------------------------------------------------------------------------------------------

# Prints the name that the package of a program has for a package manager.
package_of() {
  case "$1:$2" in
    bwrap:*) echo bubblewrap ;;
    redis-server:apt-get) echo redis-server ;;
    redis-server:*) echo redis ;;
    faketime:apt-get) echo faketime ;;
    faketime:*) echo libfaketime ;;
    perl:dnf) echo perl-interpreter ;;
    g++:dnf) echo gcc-c++ ;;
    lua:apt-get | lua:apk) echo lua5.4 ;;
    pip3:apk) echo py3-pip ;;
    pip3:*) echo python3-pip ;;
    *) echo "$1" ;;
  esac
}

# Prints the command that installs the packages given after the manager's name.
install_line() {
  line_manager=$1
  shift
  case $line_manager in
    apt-get) echo "apt-get update && apt-get install -y --no-install-recommends $*" ;;
    dnf) echo "dnf install -y --setopt=install_weak_deps=False $*" ;;
    apk) echo "apk add $*" ;;
    *) echo "(your package manager's command to install) $*" ;;
  esac
}

# Debian starts a service as soon as its package is installed. The tests start a Redis of their own and the service
# needs none: so one that we install stays off. A policy-rc.d that is there already is the machine's, not ours.
policy=/usr/sbin/policy-rc.d
install_with_services_off() {
  if [ "$manager" = apt-get ] && [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    run_install_line
    $as_root rm -f $policy
    trap - EXIT INT TERM
  else
    run_install_line
  fi
  case "$manager $missing" in
    apt-get*redis-server*) ! has systemctl || $as_root systemctl disable redis-server >/dev/null 2>&1 || true ;;
  esac
}

run_install_line() {
  $as_root env DEBIAN_FRONTEND=noninteractive sh -c "$line" || fail "this failed: $line"
}

# Installs what is missing of the programs named. Where it may not, sets `line` to what the user is to run as root.
install_system_packages() {
  manager=""
  for candidate in apt-get dnf apk; do
    if has $candidate; then
      manager=$candidate
      break
    fi
  done
  missing=""
  for program in "$@"; do
    if has "$program"; then
      say "$program is here"
    else
      missing="$missing $(package_of "$program" "$manager")"
    fi
  done
  missing=${missing# }
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086 # a list of names: to be split
  line=$(install_line "$manager" $missing)
  if [ -n "$as_root" ] && [ -n "$manager" ]; then
    say "installing $missing: $line"
    install_with_services_off
    line=""
  fi
}

# Chromium under any of the names that test/support/chromium.ts looks for. Where it cannot be had as a package (Ubuntu has it
# as a snap only) all else is ready all the same: the tests in a browser are left out, and say so.
install_browser() {
  for program in chromium chromium-browser google-chrome; do
    if has "$program"; then
      say "$program is here"
      return 0
    fi
  done
  browser_line=$(install_line "$manager" chromium)
  if [ -n "$as_root" ] && [ -n "$manager" ]; then
    say "installing chromium: $browser_line"
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c "$browser_line" && return 0
  fi
  say "WARNING: there is no Chromium, so the tests in a browser are left out; to install it, as root: $browser_line"
}

# Whether bubblewrap may work here is the kernel's to say; without it the service starts, and refuses jobs.
check_sandbox() {
  if bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / true 2>/dev/null; then
    say "bubblewrap works"
    return 0
  fi
  say "WARNING: bubblewrap is installed, but may not make a sandbox here, so no job will run:"
  bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / true || true
  say "Ubuntu 23.10 and later: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; containers: docker/README.md"
}

# ---- Bun --------------------------------------------------------------------------------------------------------

# True when the Bun at $1 runs and is not older than the one that the project names.
is_new_enough() {
  found=$("$1" --version 2>/dev/null) || return 1
  printf '%s\n%s\n' "$bun_version" "$found" | awk -F '[.-]' '
    NR == 1 { split($0, want) }
    NR == 2 { for (i = 1; i <= 3; i++) { if ($i + 0 > want[i] + 0) exit 0; if ($i + 0 < want[i] + 0) exit 1 }; exit 0 }'
}

# Sets bun to a Bun that will do, on the PATH or where an earlier run has put one.
find_bun() {
  for candidate in bun "$HOME/.local/bin/bun" "$HOME/.bun/bin/bun"; do
    candidate=$(command -v "$candidate") || continue
    if is_new_enough "$candidate"; then
      bun=$candidate
      return 0
    fi
  done
  return 1
}

install_bun_by_npm() {
  prefix=$(npm prefix -g 2>/dev/null) || return 1
  if [ -w "$prefix/lib/node_modules" ] || { [ ! -e "$prefix/lib/node_modules" ] && [ -w "$prefix" ]; }; then
    set -- npm
  elif [ -n "$as_root" ]; then
    # shellcheck disable=SC2086 # "sudo -n": to be split
    set -- $as_root npm
  else
    prefix=$HOME/.local
    set -- npm --prefix "$prefix"
  fi
  say "installing Bun $bun_version: $* install -g bun@$bun_version"
  "$@" install -g --no-fund --no-audit --no-update-notifier --loglevel=error "bun@$bun_version" && is_new_enough "$prefix/bin/bun" \
    && bun=$prefix/bin/bun
}

install_bun_by_installer() {
  say "installing Bun $bun_version: https://bun.com/install"
  for program in curl unzip bash; do
    has $program || fail "Bun's installer needs $program: please install it, or npm"
  done
  curl -fsSL https://bun.com/install | bash -s "bun-v$bun_version" || return 1
  bun=${BUN_INSTALL:-$HOME/.bun}/bin/bun
  is_new_enough "$bun"
}

# The very next command is to find this Bun: links it into a directory of the PATH that we may write to.
put_bun_on_path() {
  found=$(command -v bun) && is_new_enough "$found" && return 0
  path_rest=$PATH:
  best=""
  while [ -n "$path_rest" ]; do
    directory=${path_rest%%:*}
    path_rest=${path_rest#*:}
    case "$directory" in
      /usr/local/bin | "$HOME"/bin | "$HOME"/.local/bin) [ -w "$directory" ] && best=$directory && break ;;
      /*) [ -z "$best" ] && [ -w "$directory" ] && best=$directory ;;
    esac
  done
  if [ -n "$best" ]; then
    say "linking $bun into $best, which is on the PATH"
    ln -sf "$bun" "$best/bun"
    hash -r
    found=$(command -v bun) && is_new_enough "$found" && return 0
  fi
  fail "Bun $bun_version is installed, but the shell does not find it. Please run this line, then ./setup.sh again:
  export PATH=\"$(dirname "$bun"):\$PATH\""
}

# ---- what happens -----------------------------------------------------------------------------------------------

bun=""
line=""
if [ "$(uname -s)" = Linux ]; then
  # curl is what the README and the examples call the service with; with unzip and bash, also what Bun's installer needs.
  # pip installs the dependencies of Python jobs.
  set -- bwrap perl python3 pip3 curl
  find_bun || has npm || set -- "$@" unzip bash
  # gcc, g++ and lua stand for the languages that are compiled and those that are not; g++ has C's headers too.
  [ -z "$for_tests" ] || set -- "$@" redis-server faketime gcc g++ lua
  install_system_packages "$@"
  [ -z "$for_tests" ] || install_browser
  ! has bwrap || check_sandbox
else
  say "bubblewrap exists for Linux only: on this system jobs run in the container, see docker/README.md"
  [ -z "$for_tests" ] || has redis-server || say "the tests need redis-server, for example: brew install redis"
fi

if [ -z "$bun" ]; then
  { has npm && install_bun_by_npm; } || install_bun_by_installer || fail "Bun $bun_version could not be installed"
fi
say "Bun $("$bun" --version) is $bun"
say "installing the npm packages of bun.lock: bun install --frozen-lockfile"
"$bun" install --frozen-lockfile
put_bun_on_path

if [ -n "$line" ]; then
  say "MISSING: $missing. This script may not install it; please run as root:"
  printf '  %s\n' "$line"
  # The languages are some of several, and the tests leave out what is not there; without these two no job runs.
  { has bwrap && has perl; } || exit 1
fi
say "ready: bun run src/main.ts${for_tests:+, or bun test}"
