#!/bin/sh
# stdout and stderr told apart, with curl: each alone from the snapshot, and both labelled in the JSON stream. Within one
# of them the order is the program's; between the two it is the order in which they arrived.
set -eu
cd "$(dirname "$0")"
server=${JOB_RUNNER_URL:-http://127.0.0.1:8000}

fail() {
  echo "two-streams: $*" >&2
  exit 1
}

job=$(curl -fsS "$server/jobs" -F spec='{"entry":"talk.sh","timeout_sec":20}' -F code_files=@talk.sh)
id=$(expr "$job" : '{"id":"\([^"]*\)"')

events=$(curl -fsSN "$server/jobs/$id/logs/stream?format=json")
printf '%s\n' "$events"
for expected in \
  'data: {"stream":"stdout","text":"reading 3 records\n"}' \
  'data: {"stream":"stderr","text":"record 2 has no date\n"}' \
  'data: {"stream":"stdout","text":"wrote 2 records\n"}' \
  'data: {"stream":"stderr","text":"1 record left out\n"}'; do
  printf '%s\n' "$events" | grep -qxF "$expected" || fail "the stream lacks: $expected"
done

stdout=$(curl -fsS "$server/jobs/$id/logs?stream=stdout")
stderr=$(curl -fsS "$server/jobs/$id/logs?stream=stderr")
[ "$stdout" = "reading 3 records
wrote 2 records" ] || fail "unexpected stdout: $stdout"
[ "$stderr" = "record 2 has no date
1 record left out" ] || fail "unexpected stderr: $stderr"

ended=$(curl -fsS "$server/jobs/$id")
case "$ended" in
  *'"status":"succeeded"'*) echo "two-streams: stdout and stderr came apart as they should" ;;
  *) fail "the job did not succeed: $ended" ;;
esac
