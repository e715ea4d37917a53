// Serves the page from disk, and carries `/ws` to the JSON Lines port of a chat-server: for work on the page alone. It
// sends the headers that the server sends, so that what they forbid is found here.
//
//     node tools/serve.js HOST:PORT [LISTEN-PORT]

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";

const page = new URL("../../page/", import.meta.url);
const types = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml", ".webmanifest": "application/manifest+json",
};
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
  + "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Starts a bridge. `target` gives the chat server's port, which may change while the bridge runs. */
export async function serve(target, listenPort = 0) {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const name = path === "/" ? "index.html" : path.slice(1);
    try {
      if (!/^[\w.-]+$/.test(name)) throw new Error("no such file");
      const body = await readFile(new URL(name, page));
      response.writeHead(200, {
        "content-type": types[extname(name)] ?? "application/octet-stream", "content-security-policy": policy,
        "x-content-type-options": "nosniff", "cache-control": "no-cache",
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  const sockets = new WebSocketServer({ server, path: "/ws", handleProtocols: (wanted) => wanted.has("chat.v1") && "chat.v1" });
  sockets.on("connection", (socket) => bridge(socket, target()));
  await new Promise((resolve) => server.listen(listenPort, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** One object a line on one side, one object a frame on the other. */
function bridge(socket, port) {
  const stream = connect(port, "127.0.0.1");
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("{")) socket.send(line);
  });
  stream.on("error", () => socket.close());
  stream.on("close", () => socket.close());
  socket.on("message", (data) => stream.write(`${data}\n`));
  socket.on("close", () => stream.end());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.argv[2]?.split(":").at(-1));
  const { url } = await serve(() => port, Number(process.argv[3] ?? 0));
  console.log(`serving ${url}`);
}
