import { AppError } from "../../errors.ts";
import type { DataConnection } from "./connection.ts";

/** Script flags came with 7.0: with them a full server still lets jobs end. */
const OLDEST_MAJOR = 7;
/** Of the data's layout: raise it when a key changes its meaning. */
const SCHEMA = "1";

/** Refuses a server on which jobs would be lost or misread. */
export async function checkServer(
  data: DataConnection,
  { metaKey, allowEviction }: { readonly metaKey: string; readonly allowEviction: boolean },
): Promise<void> {
  const info = parseInfo(await data.run(async (client) => await client.info()));
  const version = info.get("redis_version") ?? "an unknown version";
  if (!(Number.parseInt(version, 10) >= OLDEST_MAJOR))
    throw new AppError(
      "store_unavailable",
      `Redis 7.0 or newer is needed, and this server is ${version}`,
    );
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  if (policy !== "noeviction" && !allowEviction)
    throw new AppError(
      "store_unavailable",
      `Redis has maxmemory-policy ${policy}, so it may delete jobs that wait or run; set it to noeviction`,
    );
  const schema = await data.script("open", [metaKey], [SCHEMA]);
  if (schema !== SCHEMA)
    throw new AppError(
      "store_unavailable",
      `The data in Redis has schema ${String(schema)} and this program speaks ${SCHEMA}; give this installation a prefix of its own`,
    );
}

/** The `name:value` lines of INFO. It shows the policy also where a managed server forbids CONFIG. */
function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
}
