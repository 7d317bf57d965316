import { tmpdir } from "node:os";
import { join } from "node:path";

import { runBareSync } from "./bare.ts";
import { startDeployment } from "./deployment.ts";
import { HttpConnection } from "./http-connection.ts";
import { runJob, submitRequest } from "./job-client.ts";
import { measure, quantile, type Subject, timed } from "./measure.ts";
import { PROGRAMS } from "../test/support/languages.ts";

/*
 * What the hello world of each language here costs, from its submission to its end, with no sandbox started ahead: with code
 * that was never seen before, and with the same code once more; beside it python3 by itself. For the table in the README.
 *
 *   bun run bench/languages.ts [ROUNDS]
 */

const rounds = Number(process.argv[2] ?? 9);

interface Hello {
  readonly language: string;
  readonly entry: string;
  readonly source: string;
}

/** Those of which the tests have no program of their own. */
const COMMON: readonly Hello[] = [
  { language: "python", entry: "hello.py", source: "print('hello')\n" },
  { language: "node", entry: "hello.js", source: "console.log('hello')\n" },
  { language: "bun", entry: "hello.ts", source: "console.log('hello' as string)\n" },
  { language: "deno", entry: "hello.ts", source: "console.log('hello' as string)\n" },
  { language: "bash", entry: "hello.sh", source: "echo hello\n" },
  { language: "sh", entry: "hello.sh", source: "echo hello\n" },
];

const BARE = "python3 by itself";
const bareFile = join(tmpdir(), `job-runner-hello-${process.pid}.py`);
await Bun.write(bareFile, "print('hello')\n");
const bare = { argv: ["/usr/bin/python3", bareFile], cwd: "/", expected: "hello\n" };

const deployment = await startDeployment("sqlite", { WARM_POOL_MB: "0" });
try {
  const { url } = deployment.service;
  const connection = await HttpConnection.open(url);
  const { absent } = (await (await fetch(`${url}/runtimes`)).json()) as {
    readonly absent: readonly { readonly name: string }[];
  };
  const isAbsent = ({ language }: Hello) => absent.some(({ name }) => name === language);
  const present = [...COMMON, ...PROGRAMS].filter((hello) => !isAbsent(hello));
  // What is read from the disk for the first time, and a base that is made once, are the first round's alone.
  const pace = { rounds, warmUpRounds: 1 };
  const firstTimes: Record<string, number> = {};
  const results = await measure(pace, [
    timed(BARE, () => runBareSync(bare)),
    ...present.map((hello) => subject(connection, { url, hello, firstTimes })),
  ]);
  const shown = (name: string) => `${Math.round(quantile(results[name] ?? [], 0.5))} ms`;
  console.log(`| ${BARE} | ${shown(BARE)} | | |`);
  for (const { language } of present)
    console.log(
      `| ${language} | ${shown(language)} | ${shown(again(language))} | the very first: ${Math.round(firstTimes[language] ?? 0)} ms |`,
    );
} finally {
  await deployment.stop();
  await Bun.file(bareFile).delete();
}

function again(language: string): string {
  return `${language} again`;
}

function subject(
  connection: HttpConnection,
  {
    url,
    hello: { language, entry, source },
    firstTimes,
  }: {
    readonly url: string;
    readonly hello: Hello;
    /** Gets the time of the first job of each language. */
    readonly firstTimes: Record<string, number>;
  },
): Subject {
  return async () => {
    // A file of its own in each round, since a compile is known by all of its code.
    const files = { [entry]: source, "round.txt": crypto.randomUUID() };
    const request = submitRequest(url, { spec: { entry, runtime: language }, files });
    const first = await runJob(connection, request, "hello");
    const second = await runJob(connection, request, "hello");
    firstTimes[language] ??= first.endMs;
    return { [language]: first.endMs, [again(language)]: second.endMs };
  };
}
