import { artifactNames } from "./artifact-names.ts";
import { artifacts } from "./artifacts.ts";
import { calls } from "./calls.ts";
import { compilers } from "./compilers.ts";
import { disk } from "./disk.ts";
import type { Theme } from "./hostile-program.ts";
import { kernel } from "./kernel.ts";
import { memory } from "./memory.ts";
import { network } from "./network.ts";
import { output } from "./output.ts";
import { processes } from "./processes.ts";
import { secrets } from "./secrets.ts";
import { signals } from "./signals.ts";
import { uploads } from "./uploads.ts";

/** Every hostile program and request, in the order of the table in SECURITY.md. */
export const CORPUS: readonly Theme[] = [
  processes,
  signals,
  memory,
  disk,
  output,
  secrets,
  network,
  kernel,
  compilers,
  artifacts,
  artifactNames,
  uploads,
  calls,
];
