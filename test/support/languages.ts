/*
 * One program in each language that this project's other tests have nothing of. All do the same: print `hello`, then each
 * argument in brackets, then what stands on their standard input; with `fail` for a first argument they then write `failing`
 * to stderr and end with 3.
 */

export interface LanguageProgram {
  /** As LANGUAGES names it. */
  readonly language: string;
  readonly entry: string;
  readonly source: string;
  /** What its compiler refuses, and what it says then; absent where there is no compiler. */
  readonly broken?: { readonly source: string; readonly says: string };
}

export const PROGRAMS: readonly LanguageProgram[] = [
  {
    language: "c",
    entry: "hello.c",
    source: `#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
  puts("hello");
  for (int i = 1; i < argc; i++) printf("[%s]\\n", argv[i]);
  for (int c; (c = getchar()) != EOF;) putchar(c);
  if (argc < 2 || strcmp(argv[1], "fail") != 0) return 0;
  fputs("failing\\n", stderr);
  return 3;
}
`,
    broken: { source: "int main(void) { return missing; }\n", says: "undeclared" },
  },
  {
    language: "c++",
    entry: "hello.cpp",
    source: `#include <iostream>
#include <string>
int main(int argc, char **argv) {
  std::cout << "hello\\n";
  for (int i = 1; i < argc; i++) std::cout << '[' << argv[i] << "]\\n";
  for (std::string line; std::getline(std::cin, line);) std::cout << line << '\\n';
  if (argc < 2 || std::string(argv[1]) != "fail") return 0;
  std::cerr << "failing\\n";
  return 3;
}
`,
    broken: { source: "int main() { return missing; }\n", says: "was not declared" },
  },
  {
    language: "go",
    entry: "hello.go",
    source: `package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	fmt.Println("hello")
	for _, argument := range os.Args[1:] {
		fmt.Printf("[%s]\\n", argument)
	}
	io.Copy(os.Stdout, os.Stdin)
	if len(os.Args) > 1 && os.Args[1] == "fail" {
		fmt.Fprintln(os.Stderr, "failing")
		os.Exit(3)
	}
}
`,
    broken: {
      source: "package main\n\nfunc main() { missing() }\n",
      says: "undefined: missing",
    },
  },
  {
    language: "rust",
    entry: "hello.rs",
    source: `use std::io::Read;
fn main() {
    println!("hello");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for argument in &arguments {
        println!("[{}]", argument);
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    print!("{}", input);
    if arguments.first().map(String::as_str) == Some("fail") {
        eprintln!("failing");
        std::process::exit(3);
    }
}
`,
    broken: { source: "fn main() { missing() }\n", says: "cannot find function `missing`" },
  },
  {
    language: "java",
    entry: "Hello.java",
    source: `public class Hello {
  public static void main(String[] args) throws Exception {
    System.out.println("hello");
    for (String argument : args) System.out.println("[" + argument + "]");
    System.in.transferTo(System.out);
    System.out.flush();
    if (args.length == 0 || !args[0].equals("fail")) return;
    System.err.println("failing");
    System.exit(3);
  }
}
`,
    broken: {
      source: "public class Hello { int missing = nothing; }\n",
      says: "cannot find symbol",
    },
  },
  {
    language: "ruby",
    entry: "hello.rb",
    source: `puts "hello"
ARGV.each { |argument| puts "[#{argument}]" }
print $stdin.read
if ARGV[0] == "fail"
  warn "failing"
  exit 3
end
`,
  },
  {
    language: "perl",
    entry: "hello.pl",
    source: `use strict;
use warnings;
print "hello\\n";
print "[$_]\\n" for @ARGV;
print while <STDIN>;
exit 0 if !@ARGV || $ARGV[0] ne 'fail';
print STDERR "failing\\n";
exit 3;
`,
  },
  {
    language: "php",
    entry: "hello.php",
    source: `<?php
echo "hello\\n";
foreach (array_slice($argv, 1) as $argument) echo "[$argument]\\n";
echo stream_get_contents(STDIN);
if (($argv[1] ?? '') === 'fail') {
    fwrite(STDERR, "failing\\n");
    exit(3);
}
`,
  },
  {
    language: "lua",
    entry: "hello.lua",
    source: `print("hello")
for _, argument in ipairs(arg) do print("[" .. argument .. "]") end
io.write(io.read("*a") or "")
if arg[1] == "fail" then
  io.stderr:write("failing\\n")
  os.exit(3)
end
`,
  },
  {
    language: "r",
    entry: "hello.R",
    source: `cat("hello\\n")
arguments <- commandArgs(trailingOnly = TRUE)
for (argument in arguments) cat("[", argument, "]\\n", sep = "")
for (line in readLines(file("stdin"))) cat(line, "\\n", sep = "")
if (length(arguments) > 0 && arguments[1] == "fail") {
  cat("failing\\n", file = stderr())
  quit(status = 3)
}
`,
  },
];
