#!/bin/sh
# Resolves forty names where the only name server never answers, and reads a file meanwhile. Run by resolve.test.ts in network
# and mount namespaces of its own; $1 is the bun to use.
set -eu
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
ip link set lo up 2>/dev/null || python3 - <<'UP'
import fcntl, socket, struct
# SIOCSIFFLAGS, IFF_UP: there may be no ip here.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1))
UP
echo 'nameserver 127.0.0.53' > "$folder/resolv.conf"
echo '10.1.2.3 in-hosts.test' > "$folder/hosts"
mount --bind "$folder/resolv.conf" /etc/resolv.conf
mount --bind "$folder/hosts" /etc/hosts
mkfifo "$folder/ready"
python3 -c '
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.53", 53))
open(sys.argv[1], "w").write("ready")
while True: server.recvfrom(512)
' "$folder/ready" &
server=$!
cat "$folder/ready" > /dev/null
cat > "$folder/resolve.ts" <<'PROGRAM'
import { readFile } from "node:fs/promises";
import { resolveHost } from "RESOLVE";

const [found] = await resolveHost("in-hosts.test");
console.log(`/etc/hosts: ${found?.address}`);
let resolved = 0;
for (let name = 0; name < 40; name += 1)
  resolveHost(`name-${name}.example.com`).then(() => (resolved += 1), () => (resolved += 1));
for (let read = 0; read < 100; read += 1) await readFile("/etc/hosts");
console.log(`files were read, and ${resolved === 0 ? "no" : resolved} name was resolved`);
process.exit(0);
PROGRAM
source=$(cd "$(dirname "$0")/../../src/platform" && pwd)/resolve.ts
sed -i "s#RESOLVE#$source#" "$folder/resolve.ts"
"$1" run "$folder/resolve.ts"
