import { programsOf } from "./warm-program.ts";

const node = programsOf("main.js");
const esm = programsOf("main.mjs");
const runtime = { spec: { runtime: "node" } };

const WHERE_AM_I = `
console.log(process.argv, process.argv0, process.execArgv, process.execPath, process.title, process.cwd());
console.log(Object.entries(process.env).sort(), process._preload_modules, process.exitCode, process.pid, process.ppid);`;
const COMMON_JS = `${WHERE_AM_I}
console.log(__filename, __dirname, require.main === module, module.id, module.parent, module.paths, module.children.length, module.loaded);
console.log(Object.keys(require.cache), require.resolve.paths("x"), Object.keys(require.extensions), this === module.exports, arguments.length);`;

/** What a program of node sees of itself and of its modules. */
export const javascriptModules = [
  node("itself", "/work/main.js", COMMON_JS),
  node("arguments", "'--inspect'", COMMON_JS, {
    spec: { args: ["--inspect", "", "a b", "zwölf €", "\u{1F40D}", "--require=x", "line\nbreak"] },
  }),
  node(
    "an entry in a folder",
    "/work/pkg/tool.cjs",
    `${COMMON_JS}\nrequire("./other.js"); require("../main.js")`,
    {
      entry: "pkg/tool.cjs",
      files: {
        "pkg/other.js": "console.log('other', module.parent.id, require.main.id)",
        "main.js": "console.log(__filename)",
      },
    },
  ),
  node("an entry with a space", "/work/my program.js", COMMON_JS, { entry: "my program.js" }),
  node("an entry with a dash", "/work/-m.js", COMMON_JS, { entry: "-m.js" }),
  node("an entry with letters of elsewhere", "zwölf€.js", COMMON_JS, { entry: "zwölf€.js" }),
  node("an entry without an extension", "/work/program", COMMON_JS, {
    entry: "program",
    ...runtime,
  }),
  node(
    "its neighbours",
    "cached true",
    `const { readFileSync } = require("fs");
const a = require("./lib/a"), b = require("thing"), c = require("./data.json");
console.log("cached", require("./lib/a.js") === a, b, c, Object.keys(require.cache), module.children.map(({ id }) => id));
console.log(readFileSync("data.json", "utf8"), require("thing/package.json").version);
import("./lib/e.mjs").then((e) => console.log(e.default, e.url));
try { require("./none") } catch (error) { console.log(error.code, error.requireStack, error.message) }`,
    {
      files: {
        "lib/a.js": "exports.x = module.parent.filename",
        "node_modules/thing/index.js": "module.exports = [__filename, module.paths]",
        "node_modules/thing/package.json": '{"version":"1.2.3"}',
        "data.json": '{"y": 2}',
        "lib/e.mjs": "export default import.meta.url; export const url = import.meta.filename",
      },
    },
  ),
  esm(
    "itself",
    "file:///work/main.mjs",
    `${WHERE_AM_I}
import { createRequire } from "node:module";
import { x } from "./other.mjs";
console.log(import.meta.url, typeof import.meta.resolve, typeof require, this, x, await Promise.resolve("top level"));
console.log(Object.keys(createRequire(import.meta.url).cache));
const late = await import("./late.cjs");
console.log(late.default, import.meta.resolve("./x.js"))`,
    {
      files: {
        "other.mjs": "export const x = import.meta.url",
        "late.cjs": "module.exports = [module.parent, require.main]",
      },
    },
  ),
  node(
    "modules by package.json",
    "module undefined",
    `${WHERE_AM_I}
console.log("module", this);
import { a } from "#inner"; console.log(a, import.meta.url)`,
    {
      files: {
        "package.json": '{"type": "module", "imports": {"#inner": "./inner.js"}}',
        "inner.js": "export const a = 1",
      },
      on: "sandbox",
    },
  ),
  node(
    "commonjs by package.json",
    "name it",
    `console.log(require("./package.json").name, "name it", require("it"))`,
    {
      files: {
        "package.json": '{"name":"it","type":"commonjs","exports":"./x.js"}',
        "x.js": "module.exports = 3",
      },
      on: "sandbox",
    },
  ),
  node("a module in a .js file", "import", `import fs from "node:fs";\nconsole.log("import", fs)`),
];
