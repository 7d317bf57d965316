#!/bin/sh
# The first job of the README with nothing but curl: submit, follow live, compare what came with what should have come.
set -eu
cd "$(dirname "$0")"
server=${JOB_RUNNER_URL:-http://127.0.0.1:8000}

job=$(curl -fsS "$server/jobs" -F spec='{"entry":"main.py","timeout_sec":20}' -F code_files=@../main.py)
id=$(expr "$job" : '{"id":"\([^"]*\)"')

# Each line comes while the program runs; the stream closes by itself when the job has ended.
curl -fsSN "$server/jobs/$id/logs/stream"

ended=$(curl -fsS "$server/jobs/$id")
case "$ended" in
  *'"status":"succeeded"'*'"exit_code":0'*) ;;
  *) echo "the job did not succeed: $ended" >&2; exit 1 ;;
esac

expected='1 squared is 1
2 squared is 4
3 squared is 9
squares.csv is written'
printed=$(curl -fsS "$server/jobs/$id/logs")
if [ "$printed" != "$expected" ]; then
  echo "unexpected output: $printed" >&2
  exit 1
fi
echo "hello: job $id printed what it should"
