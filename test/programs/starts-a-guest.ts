import { createBubblewrap } from "../../src/sandbox/bubblewrap.ts";
import { shellRequest } from "../support/guests.ts";

/* A service in small, to be killed: starts a guest with a daemon, says so, and waits. */
const [runtimeDir = "", marker = ""] = process.argv.slice(2);
const guest = await createBubblewrap({ uids: { first: 30_001, last: 30_100 }, runtimeDir }).start(
  shellRequest("", {
    argv: [
      "/bin/bash",
      "-c",
      `setsid bash -c 'exec -a sleep-${marker} sleep 600' & echo up; exec -a sleep-${marker} sleep 600`,
    ],
  }),
);
await guest.stdout.getReader().read();
console.log("started");
await guest.exited;
