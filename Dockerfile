# The whole service in one container: API, embedded store, worker, sandbox, Python 3.12 and Bun as runtimes.
#
#   docker build -t job-runner .
#   docker run --rm -p 127.0.0.1:8000:8000 -e ALLOW_ANONYMOUS=1 -v job-runner:/data \
#     --cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=docker/seccomp.json \
#     --security-opt systempaths=unconfined --security-opt apparmor=unconfined job-runner
#
# docker/README.md says why the sandbox needs these options, and what they are not.

FROM docker.io/oven/bun:1.4.5 AS bun

FROM docker.io/library/ubuntu:24.04 AS dependencies
COPY --from=bun /usr/local/bin/bun /usr/local/bin/bun
WORKDIR /app
COPY package.json bun.lock ./
RUN bun install --production --frozen-lockfile --ignore-scripts

FROM docker.io/library/ubuntu:24.04
# More languages for jobs, by their Ubuntu names, e.g. --build-arg EXTRA_PACKAGES="nodejs g++".
ARG EXTRA_PACKAGES=""
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    bubblewrap python3 tini ${EXTRA_PACKAGES} \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
  && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin runner \
  && install -d -o runner -g runner -m 0700 /data
COPY --from=bun /usr/local/bin/bun /usr/local/bin/bun
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY src src

USER runner
VOLUME /data
EXPOSE 8000
# Inside the container every address is the container's own: who may reach it is said by `-p`. The service still
# refuses to start without API_KEYS or ALLOW_ANONYMOUS=1, which is for the operator to say.
ENV HOST=0.0.0.0 PORT=8000 JOB_DATA_DIR=/data NODE_ENV=production
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["bun", "-e", "process.exit((await fetch(`http://127.0.0.1:${process.env.PORT}/livez`)).ok ? 0 : 1)"]
# tini reaps what a killed sandbox leaves to process 1, and hands SIGTERM on.
ENTRYPOINT ["tini", "--"]
CMD ["bun", "run", "src/main.ts"]
