import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

// Plain JavaScript by its syntax: every node runs it, under a name that ends with .mjs.
if (!isMainThread) parentPort?.postMessage(42, []);
else if (process.argv[2] === "child") process.send?.("ping", () => process.disconnect?.());
else {
  const file = process.argv[1] ?? "";
  const [answer] = await once(new Worker(file), "message");
  console.log("worker", answer);
  console.log("exec", execFileSync("echo", ["out"], { encoding: "utf8" }).trim());
  const [code] = await once(spawn("sh", ["-c", "exit 3"]), "exit");
  console.log("spawned", code);
  const [message] = await once(fork(file, ["child"]), "message");
  console.log("forked", message);
}
