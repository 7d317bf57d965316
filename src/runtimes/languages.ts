import { cLanguage, cPlusPlus } from "./builtin/c.ts";
import { go } from "./builtin/go.ts";
import { java } from "./builtin/java.ts";
import { bun, deno, node } from "./builtin/javascript.ts";
import type { Language } from "./builtin/language.ts";
import { lua } from "./builtin/lua.ts";
import { perl } from "./builtin/perl.ts";
import { php } from "./builtin/php.ts";
import { python } from "./builtin/python.ts";
import { r } from "./builtin/r.ts";
import { ruby } from "./builtin/ruby.ts";
import { rust } from "./builtin/rust.ts";
import { bash, sh } from "./builtin/shell.ts";

/** Every language that is looked for, in the order in which they are listed, and chosen for an extension that several have. */
export const LANGUAGES: readonly Language[] = [
  python,
  node,
  bun,
  deno,
  bash,
  sh,
  cLanguage,
  cPlusPlus,
  go,
  rust,
  java,
  ruby,
  perl,
  php,
  lua,
  r,
];

interface AbsentLanguage {
  readonly name: string;
  /** A command that gets it. */
  readonly hint: string;
}

/** The languages that none of these runtimes is of. */
export function absentLanguages(
  present: readonly { readonly name: string; readonly aliases: readonly string[] }[],
): readonly AbsentLanguage[] {
  const names = new Set(present.flatMap(({ name, aliases }) => [name, ...aliases]));
  return LANGUAGES.filter(({ name }) => !names.has(name)).map(({ name, hint }) => ({ name, hint }));
}
