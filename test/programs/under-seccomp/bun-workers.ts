if (!Bun.isMainThread) postMessage(42);
else {
  const worker = new Worker(import.meta.path);
  const answer = await new Promise((resolve) => {
    worker.addEventListener("message", ({ data }) => resolve(data), { once: true });
  });
  console.log("worker", answer);
  worker.terminate();

  const child = Bun.spawn(["echo", "out"], { stdout: "pipe" });
  console.log("spawn", (await new Response(child.stdout).text()).trim());

  using server = Bun.serve({ unix: "/tmp/server.sock", fetch: () => new Response("pong") });
  const reply = await fetch("http://localhost/", { unix: server.url.pathname });
  console.log("server", await reply.text());
}
