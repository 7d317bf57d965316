import { tarGz, zip } from "./archives.ts";

/*
 * Where packages come from in tests: an index as pip asks for it (PEP 503), and a registry as npm and bun do, on an address of
 * this machine that stands for the world outside.
 */

const HOST = "127.0.0.2";

/** What a service is to be started with so that its jobs can reach one. */
export const INDEX_ENV = { NET_POLICIES: "none,allow,full", NET_EXTRA_ADDRESSES: HOST };

/** What its jobs need of a spec. */
export const INSTALL = { install: true, net_policy: { allow: [HOST] } };

type Files = Readonly<Record<string, string>>;

/** Of a package.json. */
interface NpmFields {
  readonly scripts?: Files;
  readonly dependencies?: Files;
  readonly bin?: Files;
}

export class PackageIndex {
  /** Paths that were asked for. */
  readonly visits: string[] = [];
  readonly #answers = new Map<string, () => Response>();
  readonly #server = Bun.serve({
    hostname: HOST,
    port: 0,
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      this.visits.push(pathname);
      for (const waiter of this.#waiting.splice(0)) waiter();
      return this.#answers.get(pathname)?.() ?? new Response("Not here", { status: 404 });
    },
  });

  readonly #waiting: (() => void)[] = [];

  get url(): string {
    return `http://${HOST}:${this.#server.port}`;
  }

  stop(): Promise<void> {
    return this.#server.stop(true);
  }

  /** Resolves once this path has been asked for so many times. */
  async visited(path: string, times = 1): Promise<void> {
    while (this.visits.filter((each) => each === path).length < times)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** A requirements.txt that names these packages. */
  requirements(...names: readonly string[]): string {
    return [`--index-url ${this.url}/simple/`, `--trusted-host ${HOST}`, ...names, ""].join("\n");
  }

  /** The .npmrc of a job. */
  get npmrc(): string {
    return `registry=${this.url}/\n`;
  }

  /** A Python package, of these modules, ready to be unpacked. */
  addWheel(name: string, files: Files): void {
    const info = `${name}-1.0.dist-info`;
    const all: Record<string, string> = {
      ...files,
      [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n`,
      [`${info}/WHEEL`]: "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    };
    all[`${info}/RECORD`] = [...Object.keys(all), `${info}/RECORD`]
      .map((path) => `${path},,\n`)
      .join("");
    this.#addToIndex(name, `${name}-1.0-py3-none-any.whl`, zip(all));
  }

  /** A Python package that runs this when it is built, for which it needs nothing else (PEP 517, in-tree build backends). */
  addSource(name: string, program: string): void {
    const folder = `${name}-1.0`;
    const archive = tarGz({
      [`${folder}/PKG-INFO`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n`,
      [`${folder}/pyproject.toml`]:
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
      [`${folder}/backend.py`]: program,
    });
    this.#addToIndex(name, `${folder}.tar.gz`, archive);
  }

  #addToIndex(name: string, filename: string, archive: Uint8Array): void {
    this.#answer(`/simple/${name}/`, "text/html", `<a href="/files/${filename}">${filename}</a>`);
    this.#answer(`/files/${filename}`, "application/octet-stream", archive);
  }

  /** A package for npm and bun. */
  addNpm(name: string, files: Files, more: NpmFields = {}): void {
    const manifest = { name, version: "1.0.0", main: "index.js", ...more };
    const contents = { "package.json": JSON.stringify(manifest), ...files };
    const archive = tarGz(
      Object.fromEntries(Object.entries(contents).map(([path, text]) => [`package/${path}`, text])),
    );
    const integrity = `sha512-${new Bun.CryptoHasher("sha512").update(archive).digest("base64")}`;
    // Where npm's own registry has it, which is what bun.lock leaves out.
    const tarballPath = `/${name}/-/${name}-1.0.0.tgz`;
    const versions = {
      "1.0.0": { ...manifest, dist: { tarball: `${this.url}${tarballPath}`, integrity } },
    };
    const described = { name, "dist-tags": { latest: "1.0.0" }, versions };
    this.#answer(`/${name}`, "application/json", JSON.stringify(described));
    this.#answer(tarballPath, "application/octet-stream", archive);
  }

  #answer(path: string, type: string, body: string | Uint8Array): void {
    this.#answers.set(path, () => new Response(body, { headers: { "Content-Type": type } }));
  }
}
