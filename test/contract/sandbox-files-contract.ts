import { describe, expect, test } from "bun:test";

import { type Finished, type shellRequest, textInput } from "../support/guests.ts";

/** What sandbox.ts promises of a guest's files; `run` starts a guest and takes it down when it has ended. */
export function filesContract(
  run: (...request: Parameters<typeof shellRequest>) => Promise<Finished>,
): void {
  describe("what comes out", () => {
    test("regular files only, unreadable ones included", async () => {
      const { files, warnings } = await run(
        "mkdir -p a/b; echo 1 > a/b/one; : > empty; ln -s /etc/passwd link; ln -s / root; mkfifo pipe;" +
          "echo 2 > two; ln two hard; echo 3 > three; chmod 000 three; mkdir shut; echo 4 > shut/four; chmod 000 shut",
      );
      expect(files).toEqual({
        "a/b/one": "1\n",
        empty: "",
        two: "2\n",
        hard: "2\n",
        three: "3\n",
        "shut/four": "4\n",
      });
      expect(warnings).toEqual([]);
    });

    test("what is left out is counted and said", async () => {
      const { files, warnings } = await run(
        "echo ok > good; printf x > \"$(printf 'bad\\377')\";" +
          "i=0; while [ $i -lt 120 ]; do mkdir d; cd d; i=$((i+1)); done; echo deep > file",
      );
      expect(files).toEqual({ good: "ok\n" });
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toStartWith("2 of the files");
    });

    test("a file is named by any UTF-8, and changed inputs come out", async () => {
      const { files } = await run("echo new >> in.txt; echo x > 'ä \"\n\u202e'", {
        inputs: [textInput("in.txt", "old\n")],
      });
      expect(files).toEqual({ "in.txt": "old\nnew\n", 'ä "\n\u202e': "x\n" });
    });

    test("of a request that names a folder, what is below it and no input, and the folder is there", async () => {
      const { files } = await run(
        "echo 1 > out; echo 2 > made/one; mkdir made/a; echo 3 > made/a/b",
        {
          outputsBelow: "made",
          inputs: [textInput("made/given", "x"), textInput("in", "y")],
        },
      );
      expect(files).toEqual({ "made/one": "2\n", "made/a/b": "3\n" });
      const deep = await run("echo 1 > deep/er/one; rm -rf deep/er/two", {
        outputsBelow: "deep/er",
      });
      expect(deep.files).toEqual({ "deep/er/one": "1\n" });
    });

    test("below a folder that is named there may be many, and past the caps they are left out", async () => {
      const { files, warnings } = await run("seq 20001 | split -l 1 -a 4 - made/", {
        outputsBelow: "made",
      });
      expect(Object.keys(files)).toHaveLength(20_000);
      expect(warnings[0]).toStartWith("1 of the files");
      const all = await run("mkdir some; seq 1001 | split -l 1 -a 3 - some/");
      expect(Object.keys(all.files)).toHaveLength(1_000);
    });

    test("of a folder that is left alone nothing, changed or new", async () => {
      const { files, warnings } = await run(
        "echo 1 > given/one; echo 2 > given/b/two; echo 3 > b; mkdir -p c/given; echo 4 > c/given/one",
        { noOutputsBelow: "given", inputs: [textInput("given/b/one", "x")] },
      );
      expect(files).toEqual({ b: "3\n", "c/given/one": "4\n" });
      expect(warnings).toEqual([]);
    });

    test("a link in the place of that folder, or of one above it, is none", async () => {
      for (const script of ["rm -r a; ln -s /etc a", "rm -r a/b; ln -s /etc a/b", "rm -r a"])
        expect((await run(script, { outputsBelow: "a/b" })).files).toEqual({});
    });

    test("a file that is to be a program can be run by its path, and no other file can", async () => {
      const script = '#!/bin/sh\necho "ran $1"\n';
      const { stdout, files } = await run("", {
        argv: ["./bin/program", "well"],
        inputs: [
          { ...textInput("bin/program", script), isExecutable: true },
          textInput("plain", script),
        ],
      });
      expect({ stdout, files }).toEqual({ stdout: "ran well\n", files: {} });
      const plain = await run("./plain", { inputs: [textInput("plain", script)] });
      expect(plain.exit).toMatchObject({ exitCode: 126 });
    });
  });
}
