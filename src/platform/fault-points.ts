/*
 * Named points in a process's life at which a test run makes it die or freeze, in the very moment between two steps
 * that no kill from outside can hit. A service that is not under test has none, and is not even wrapped.
 */

/** SIGKILL or SIGSTOP, sent by the process to itself: no handler sees either. */
const ACTIONS = { kill: "SIGKILL", stop: "SIGSTOP" } as const satisfies Record<
  string,
  NodeJS.Signals
>;

/** `port.method.before` or `.after`, and what happens when it is passed for the `pass`-th time. */
export interface FaultPoint {
  readonly name: string;
  readonly action: keyof typeof ACTIONS;
  readonly pass: number;
}

/**
 * Reads a comma-separated list such as `store.claim.after:kill,store.append.before:stop@3`; @1 is the default. Throws
 * an Error that shows what a point looks like.
 */
export function parseFaultPoints(text: string): readonly FaultPoint[] {
  return text
    .split(",")
    .filter((each) => each !== "")
    .map((each) => {
      const [, name, action, pass = "1"] =
        /^(\w+\.\w+\.(?:before|after)):(kill|stop)(?:@([1-9]\d*))?$/.exec(each) ?? [];
      if (name === undefined || (action !== "kill" && action !== "stop"))
        throw new Error(`${JSON.stringify(each)} is no fault point; one is store.claim.after:kill`);
      return { name, action, pass: Number(pass) };
    });
}

/**
 * The port, with the points of its methods: `before` a call is made, `after` it has succeeded and before anybody knows.
 * Only methods that return a promise can have points. Where none is meant for this port, it is given back as it is.
 */
export function withFaultPoints<T extends object>(
  port: T,
  portName: string,
  points: readonly FaultPoint[],
): T {
  const own = points.filter(({ name }) => name.startsWith(`${portName}.`));
  if (own.length === 0) return port;
  const passes = new Map<string, number>();
  const pass = (name: string): void => {
    const count = (passes.get(name) ?? 0) + 1;
    passes.set(name, count);
    for (const point of own)
      if (point.name === name && point.pass === count)
        process.kill(process.pid, ACTIONS[point.action]);
  };
  return new Proxy(port, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key);
      if (typeof member !== "function") return member;
      const call = member.bind(target) as (...given: readonly unknown[]) => unknown;
      const name = `${portName}.${String(key)}`;
      if (!own.some((point) => point.name.startsWith(`${name}.`))) return call;
      return async (...given: readonly unknown[]) => {
        pass(`${name}.before`);
        const answer = await call(...given);
        pass(`${name}.after`);
        return answer;
      };
    },
  });
}
