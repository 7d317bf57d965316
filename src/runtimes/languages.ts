import { LANGUAGE_NAMES, type LanguageName } from "../jobs/languages.ts";
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

const BY_NAME: Readonly<Record<LanguageName, Language>> = {
  python,
  node,
  bun,
  deno,
  bash,
  sh,
  c: cLanguage,
  "c++": cPlusPlus,
  go,
  rust,
  java,
  ruby,
  perl,
  php,
  lua,
  r,
};

/** Every language that there is code for, in the order of their names. */
export const LANGUAGES: readonly Language[] = LANGUAGE_NAMES.map((name) => BY_NAME[name]);

interface AbsentLanguage {
  readonly name: string;
  /** A command that gets it. */
  readonly hint: string;
}

/** The languages, of those that are looked for, that none of these runtimes is of. */
export function absentLanguages(
  present: readonly { readonly name: string; readonly aliases: readonly string[] }[],
  lookedFor: readonly LanguageName[],
): readonly AbsentLanguage[] {
  const names = new Set(present.flatMap(({ name, aliases }) => [name, ...aliases]));
  return LANGUAGES.filter(({ name }) => lookedFor.includes(name) && !names.has(name)).map(
    ({ name, hint }) => ({ name, hint }),
  );
}
