/** What can be looked for on a machine, in the order in which it is listed, and chosen for an extension that several have. */
export const LANGUAGE_NAMES = [
  "python",
  "node",
  "bun",
  "deno",
  "bash",
  "sh",
  "c",
  "c++",
  "go",
  "rust",
  "java",
  "ruby",
  "perl",
  "php",
  "lua",
  "r",
] as const;
export type LanguageName = (typeof LANGUAGE_NAMES)[number];
