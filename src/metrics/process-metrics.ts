import { Counter, Gauge, type Registry } from "prom-client";

/**
 * The metrics of a process that every Prometheus client library has
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics). prom-client's own default metrics read
 * V8, of which Bun has none: half of them would be zeros.
 */
export function addProcessMetrics(registry: Registry): void {
  for (const metric of [cpuTime(), residentMemory(), startTime()]) registry.registerMetric(metric);
}

function cpuTime(): Counter {
  return new Counter({
    name: "process_cpu_seconds_total",
    help: "User and system CPU time of this process, without its jobs.",
    registers: [],
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1_000_000);
    },
  });
}

function residentMemory(): Gauge {
  return new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory of this process.",
    registers: [],
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
}

function startTime(): Gauge {
  const gauge = new Gauge({
    name: "process_start_time_seconds",
    help: "Unix time of this process' start.",
    registers: [],
  });
  gauge.set(Date.now() / 1000 - process.uptime());
  return gauge;
}
