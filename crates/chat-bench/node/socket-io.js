// A room of the npm package `socket.io`, which sends each message to every member of the room.
//
// Usage: node socket-io.js PORT

import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.join("bench");
  socket.on("said", (text) => io.to("bench").emit("said", text));
});

http.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
