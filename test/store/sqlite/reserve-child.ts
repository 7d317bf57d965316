import { Reserve } from "../../../src/store/sqlite/reserve.ts";

/*
 * Holds back space on the disk below its argument, and says as JSON whether there was enough. Run by reserve.test.ts, on a
 * disk of its own.
 */

const [directory] = process.argv.slice(2);
const reserve = new Reserve(`${directory}/jobs.sqlite`);
process.stdout.write(JSON.stringify({ isWhole: reserve.refill(() => undefined) }));
reserve.close();
