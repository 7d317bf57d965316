/*
 * The least that Bun can do as a server: what start-up, memory and idle streams of the service are measured against.
 * Answers every request but /livez with an event stream on which nothing comes.
 */

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"] ?? 0),
  idleTimeout: 0,
  fetch(request) {
    if (new URL(request.url).pathname === "/livez") return new Response("ok");
    const stream = new ReadableStream({ start: (controller) => controller.enqueue(": ok\n\n") });
    return new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
  },
});
console.log(server.url.origin);
