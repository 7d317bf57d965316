import { hashOf } from "../../../src/store/redis/scripts.ts";
import { startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";
import { recoveryBoundMs, REDIS, type Row, type Trial } from "../trial.ts";
import { Violation } from "../violation.ts";
import type { World } from "../world.ts";
import { redisOf } from "./redis-busy.ts";

/** A wire to the world's Redis; it is gone with the world's processes. */
async function wireTo(world: World): Promise<{ wire: TcpProxy; env: Record<string, string> }> {
  const wire = await startTcpProxy(redisOf(world).port);
  world.onClose(() => wire.stop());
  return { wire, env: { REDIS_URL: `redis://127.0.0.1:${wire.port}` } };
}

/** Steps and which process makes them; every reply is lost once, in a way that chance picks. */
const STEPS = [
  ["submit", "api"],
  ["cancel", "api"],
  ["claim", "worker"],
  ["append", "worker"],
  ["beat", "worker"],
  ["finish", "worker"],
] as const;

/** A connection that fell silent is given up after two seconds (src/store/redis/connection.ts): a lease must outlive that. */
const PATIENT_LEASE_MS = 6_000;

const lostReplies: readonly Row[] = STEPS.map(([step, by]) => ({
  name: `reply of ${step} lost`,
  stores: REDIS,
  async run(trial) {
    const world = await trial.open({ env: { LEASE_MS: String(PATIENT_LEASE_MS) } });
    const { wire, env } = await wireTo(world);
    await world.startApi(by === "api" ? env : {});
    await world.startWorker(by === "worker" ? env : {});
    // So that the server knows every script by its hash.
    await world.expectEnd(await world.submit({ lines: 3 }), { attempts: [1, 1] });
    await cancelAny(world);
    // Not the reply of a claim that found nothing.
    const minBytes = step === "claim" ? 200 : 0;
    wire.loseNextReply(trial.random.pick(["cut", "silence"]), hashOf(step), minBytes);
    const lost = wire.replyLost();
    if (step === "cancel") await cancelAny(world);
    const jobs = await Promise.all([world.submit(), world.submit()]);
    await Promise.all(jobs.map((job) => world.expectEnd(job, { attempts: [1, 1] })));
    await lost;
    await expectJobCount(world, step === "cancel" ? 5 : 4);
  },
}));

async function cancelAny(world: World): Promise<void> {
  const { id } = await world.submitPython("import time\ntime.sleep(1000)\n");
  const answer = await fetch(`${world.url}/jobs/${id}/cancel`, { method: "POST" });
  // 200 where the first answer was lost: asked again, the job has ended already.
  if (answer.status !== 202 && answer.status !== 200)
    throw new Violation("loss", `a cancel answered ${answer.status}`);
  const stream = await (await fetch(`${world.url}/jobs/${id}/logs/stream`)).text();
  if (!/event: end\nid: .*\ndata: .*"status":"cancelled"/.test(stream))
    throw new Violation("loss", `a cancelled job ended as ${stream.slice(-200)}`);
}

async function expectJobCount(world: World, count: number): Promise<void> {
  const page = (await (await fetch(`${world.url}/jobs?limit=200`)).json()) as { items: unknown[] };
  if (page.items.length !== count)
    throw new Violation("duplicate", `there are ${page.items.length} jobs, not ${count}`);
}

/** The worker's patience with a store that it cannot reach: short, or the default where the lease is. */
const outageSecOf = ({ leaseMs }: Trial) => (leaseMs < 15_000 ? 4 : 60);

const blackHole: Row = {
  name: "black-hole one worker for longer than OUTAGE_SEC",
  stores: REDIS,
  isRecovery: true,
  async run(trial) {
    const world = await trial.open();
    const outageSec = outageSecOf(trial);
    const { wire, env } = await wireTo(world);
    await world.startApi();
    const cutOff = { ...env, WORKER_CONCURRENCY: "1", OUTAGE_SEC: String(outageSec) };
    const old = await world.startWorker(cutOff);
    // Longer than everything here, had it not been cut off.
    const spec = { timeout_sec: 600 };
    const job = await world.submit({ lines: 4_000, pauseMs: 2 * outageSec, spec });
    await world.untilPrinted(job);
    wire.blackHole();
    const cutAtMs = Date.now();
    await world.startWorker();
    const startedAtMs = await world.untilAttempt(job, 2);
    trial.recovered(startedAtMs - cutAtMs);
    if (startedAtMs - cutAtMs > recoveryBoundMs(trial.leaseMs))
      throw new Violation("loss", `run again only after ${startedAtMs - cutAtMs} ms`);
    // Nothing but OUTAGE_SEC ends the old copy.
    await Bun.sleep(cutAtMs + 0.8 * outageSec * 1000 - Date.now());
    if (!world.copiesOf(job).includes(1)) throw new Error("The old copy ended before its time");
    await Bun.sleep(cutAtMs + outageSec * 1000 + 1_500 - Date.now());
    if (world.copiesOf(job).includes(1))
      throw new Violation("orphan", "the old copy outlived OUTAGE_SEC");
    wire.restore();
    // Said once the store has refused what was left to be sent.
    await old.said(/"job_fenced"/);
    await fetch(`${world.url}/jobs/${job.id}/cancel`, { method: "POST" });
    await world.expectEnd(job, { status: "cancelled", attempts: [2, 2] });
    await world.expectNoGuests();
  },
};

/** By the time that the worker knows of its claim, the lease has run out and somebody else has the job. */
const lateClaim: Row = {
  name: "reply of claim comes after the lease has run out",
  stores: REDIS,
  async run(trial) {
    const world = await trial.open();
    const { wire, env } = await wireTo(world);
    await world.startApi();
    await world.startWorker({ ...env, WORKER_CONCURRENCY: "1" });
    await world.expectEnd(await world.submit({ lines: 3 }), { attempts: [1, 1] });
    const reply = wire.holdNextReply(hashOf("claim"), 200);
    const heir = await world.startWorker();
    process.kill(heir.pid, "SIGSTOP");
    const job = await world.submit({ lines: 120 });
    await world.untilAttempt(job, 1);
    process.kill(heir.pid, "SIGCONT");
    await world.untilAttempt(job, 2);
    reply.release();
    await world.expectEnd(job, { attempts: [2, 2] });
    const copies = world.copiesOf(job);
    if (copies.length > 0) throw new Violation("orphan", `attempt ${copies.join()} still runs`);
  },
};

export const NETWORK: readonly Row[] = [...lostReplies, lateClaim, blackHole];
