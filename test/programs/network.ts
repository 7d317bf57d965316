import { expect } from "bun:test";

import {
  attempts,
  bash,
  type HostileProgram,
  printedJust,
  resultsOf,
  type Theme,
} from "./hostile-program.ts";
import { fieldPart, filePart, MULTIPART, multipartBody } from "../support/multipart.ts";
import { waitForEnd } from "../support/client.ts";

const SOCKETS_PY = `
import socket
def connect(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
        s.send(b"visit")
def inet(host, port, kind=socket.SOCK_STREAM):
    return lambda: connect(socket.AF_INET6 if ":" in host else socket.AF_INET, kind, (host, port))
port = int(os.environ["BAIT_PORT"])
`;

/** Each of so many attempts failed, and nobody was reached. */
function reachedNobody(count: number): HostileProgram["expect"] {
  return (ended, { baits }) => {
    const results = Object.values(resultsOf(ended));
    expect(ended.status).toBe("succeeded");
    expect(results).toHaveLength(count);
    for (const result of results) expect(result).toMatch(/^E[A-Z]+$/);
    expect(baits.visits()).toEqual([]);
  };
}

/** A policy that this server does not offer is refused; one that it offers still keeps the host to itself. */
async function withPolicy(url: string, netPolicy: unknown): Promise<string> {
  const source = `
import os, urllib.request
for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "169.254.169.254", *os.environ["BAIT_ADDRESSES"].split()):
    try: print("reached", host, urllib.request.urlopen(f"http://{host}:{os.environ['BAIT_PORT']}/", timeout=2).status)
    except Exception as error: print(type(error).__name__)
`;
  const spec = JSON.stringify({ entry: "main.py", net_policy: netPolicy, timeout_sec: 30 });
  const answer = await fetch(`${url}/jobs`, {
    method: "POST",
    headers: { "Content-Type": MULTIPART },
    body: multipartBody(fieldPart("spec", spec), filePart("code_files", "main.py", source)),
  });
  if (answer.status === 422) return "refused";
  const { id } = (await answer.json()) as { id: string };
  await waitForEnd(url, id);
  return (await fetch(`${url}/jobs/${id}/logs`)).text();
}

export const network: Theme = {
  title: "Network",
  entries: [
    attempts({
      name: "TCP to the host",
      tries:
        "Connects to a listener on the host's loopback, by IPv4, by IPv6 and by each address of the host.",
      safeOutcome: "Its network is empty, loopback included: nothing is reached.",
      source: `${SOCKETS_PY}
for host in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::ffff:127.0.0.1"): attempt(host, inet(host, port))
for host in os.environ["BAIT_ADDRESSES"].split(): inet_host = host; attempt("own " + host.replace(":", "."), inet(host, port))
`,
      expect(ended, world) {
        const results = Object.keys(resultsOf(ended)).length;
        expect(results).toBeGreaterThanOrEqual(5);
        return reachedNobody(results)(ended, world);
      },
    }),
    attempts({
      name: "the service itself, and its Redis",
      tries: "Connects to the API's port and to Redis's usual one, to run or change other jobs.",
      safeOutcome: "Neither is reached.",
      source: `${SOCKETS_PY}
attempt("api", inet("127.0.0.1", int(os.environ["SERVICE_PORT"])))
attempt("redis", inet("127.0.0.1", 6379))
`,
      expect: reachedNobody(2),
    }),
    attempts({
      name: "cloud metadata",
      tries: "Asks the metadata addresses of clouds for the machine's credentials.",
      safeOutcome: "No route.",
      source: `${SOCKETS_PY}
for host in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254"): attempt(host.replace(":", "."), inet(host, 80))
`,
      expect: reachedNobody(3),
    }),
    attempts({
      name: "DNS",
      tries: "Resolves names, and sends datagrams to public resolvers, as a tunnel would.",
      safeOutcome: "No name is resolved, no datagram leaves.",
      source: `${SOCKETS_PY}
def resolve():
    try: socket.getaddrinfo("example.com", 80)
    except socket.gaierror: raise OSError(errno.ENETUNREACH, "")
attempt("name", resolve)
for host in ("8.8.8.8", "1.1.1.1", "2606.4700.4700..1111".replace(".", ":")):
    attempt(host.replace(":", "."), inet(host, 53, socket.SOCK_DGRAM))
`,
      expect: reachedNobody(4),
    }),
    attempts({
      name: "datagrams to the host and everybody near",
      tries: "Sends datagrams to the host's loopback, by broadcast and by multicast.",
      safeOutcome: "None arrives.",
      source: `${SOCKETS_PY}
def datagram(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(b"visit", (host, port))
        s.settimeout(0.3)
        s.connect((host, port))
        s.send(b"visit")
        s.recv(1)
for host in ("127.0.0.1", "255.255.255.255", "224.0.0.1"): attempt(host, lambda: datagram(host))
`,
      expect(ended, { baits }) {
        // A timeout has no number of its own: the datagram went to its own loopback, where nobody listens.
        for (const result of Object.values(resultsOf(ended))) expect(result).not.toBe("done");
        expect(baits.visits()).toEqual([]);
      },
    }),
    attempts({
      name: "abstract sockets and socket files of the host",
      tries: "Connects to a socket of the host in the abstract namespace, and to one in its /tmp.",
      safeOutcome: "Both belong to other namespaces: refused.",
      source: `${SOCKETS_PY}
attempt("abstract", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + os.environ["BAIT_ABSTRACT"]))
attempt("file", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, os.environ["BAIT_SOCKET"]))
for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"):
    attempt(path, lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, path))
`,
      expect: reachedNobody(6),
    }),
    attempts({
      name: "odd socket families",
      tries: "Opens sockets of families that few programs need and that kernels have had holes in.",
      safeOutcome: "Only Unix, IPv4, IPv6 and route sockets can be made.",
      source: `
import socket
FAMILIES = {"AX25": 3, "IPX": 4, "X25": 9, "KEY": 15, "PACKET": 17, "RDS": 21, "PPPOX": 24, "LLC": 26, "CAN": 29,
            "TIPC": 30, "BLUETOOTH": 31, "RXRPC": 33, "PHONET": 35, "ALG": 38, "NFC": 39, "VSOCK": 40, "KCM": 41,
            "QIPCRTR": 42, "SMC": 43, "XDP": 44, "MCTP": 45}
for name, family in FAMILIES.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        attempt(f"{name} {int(kind)}", lambda: socket.socket(family, kind).close())
for protocol in (4, 6, 9, 12, 16, 21):
    attempt(f"NETLINK {protocol}", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close())
`,
      expect: reachedNobody(90),
    }),
    attempts({
      name: "raw packets",
      tries: "Opens raw sockets, to forge packets and to listen to others'.",
      safeOutcome: "Refused.",
      source: `
import socket
for name, family, protocol in (("icmp", socket.AF_INET, 1), ("raw", socket.AF_INET, 255), ("icmp6", socket.AF_INET6, 58)):
    attempt(name, lambda: socket.socket(family, socket.SOCK_RAW, protocol))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
`,
      expect: reachedNobody(4),
    }),
    attempts({
      name: "a network of its own making",
      tries: "Adds interfaces and routes, or takes one down, through netlink and ioctl.",
      safeOutcome: "Refused: it has no capability over its own network either.",
      source: `
import fcntl, socket, struct
def request(kind, body):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.bind((0, 0))
        s.send(struct.pack("=IHHII", 16 + len(body), kind, 0x605, 1, 0) + body)
        code = struct.unpack("=i", s.recv(4096)[16:20])[0]
        if code < 0: raise OSError(-code, "")
attempt("new link", lambda: request(16, struct.pack("=BxHiII", 0, 0, 0, 1, 1)))
attempt("new route", lambda: request(24, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0)))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    attempt("flags", lambda: fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0)))
attempt("tun", lambda: os.open("/dev/net/tun", os.O_RDWR))
`,
      expect: reachedNobody(4),
    }),
    bash({
      name: "connections of the host",
      tries: "Lists the host's interfaces, connections and sockets.",
      safeOutcome: "It sees its own loopback, and no connection.",
      source: `
cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' \\n'; echo
for table in tcp tcp6 udp udp6 raw unix packet; do tail -n +2 /proc/net/$table 2>/dev/null; done | wc -l`,
      expect: printedJust("lo\n0\n"),
    }),
    {
      name: "net_policy full, to reach the host",
      tries:
        "Asks for the network, then for the host's loopback, its addresses and the metadata address.",
      safeOutcome:
        "The policy is refused where it is not offered; where it is, these addresses are.",
      async attempt({ url, baits }) {
        expect(await withPolicy(url, "full")).not.toContain("reached");
        expect(baits.visits()).toEqual([]);
      },
    },
    {
      name: "net_policy allow, to reach the host",
      tries: "Asks for a list of allowed hosts that names the host itself.",
      safeOutcome: "Refused, or such addresses are: a name on a list is no way in.",
      async attempt({ url, baits }) {
        const allow = ["127.0.0.1", "localhost", "169.254.169.254", "::1"];
        expect(await withPolicy(url, { allow })).not.toContain("reached");
        expect(baits.visits()).toEqual([]);
      },
    },
  ],
};
