// A node server for tests in plain JavaScript: no packages. What it says on the wire is what the Python SDK says.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const { accept } = require("./src/websocket.js");
const nodes = require("./src/nodes.js");

const config = JSON.parse(fs.readFileSync("nanoserver.json", "utf8"));
const setting = (variable, key) => process.env[variable] || config[key];
const serverUid = setting("SERVER_UID", "serverUid");
const about = {
  domain: setting("DOMAIN", "domain"),
  serverDisplayName: setting("SERVER_DISPLAY_NAME", "serverDisplayName"),
  serverUid,
  serverPackageId: setting("SERVER_PACKAGE_ID", "serverPackageId"),
  nanocoreHttpEndpoint: process.env.NANOCORE_HTTP_ENDPOINT || "",
};
const definitions = Object.values(nodes).map((node) => ({ ...node.definition, type: "server" }));
/** AbortControllers of what runs, by instance id. */
const running = new Map();
const sockets = new Set();

const server = http.createServer((request, response) => {
  const found = new URL(request.url, "http://localhost").pathname === "/";
  response.writeHead(found ? 200 : 404, { "Content-Type": "application/json; charset=utf-8" });
  const page = { message: "A JavaScript node server", ...about, loadedNodes: definitions.length };
  response.end(JSON.stringify(found ? { ...page, nodeUIDs: Object.keys(nodes) } : {}));
});

server.on("upgrade", (request, stream, head) => {
  const socket = accept(request, stream, head, {
    text: (text) => receive(socket, JSON.parse(text)),
    closed: () => sockets.delete(socket),
  });
  sockets.add(socket);
  const payload = { ...about, nodeDefinitions: definitions };
  socket.send(JSON.stringify({ type: "handshake", serverUid, serverPackageId: about.serverPackageId, payload }));
});

function receive(socket, message) {
  if (message.type === "request_execution") {
    execute(socket, message.instanceId, message.payload);
  } else if (message.type === "stop_workflow_instance") {
    stop(socket, message.instanceId);
  }
}

async function execute(socket, instanceId, { nodeId, nodeUid, inputs, graphNode }) {
  const send = (status) =>
    socket.send(JSON.stringify({ type: "node_status", serverUid, instanceId, payload: { nodeId, status } }));
  const node = nodes[nodeUid];
  if (!node) {
    send({ type: "error", message: `Node definition not found: ${nodeUid}` });
    return;
  }
  const abort = new AbortController();
  const aborts = running.get(instanceId) || new Set();
  running.set(instanceId, aborts.add(abort));
  send({ type: "running", message: "Starting execution..." });
  const parameters = Object.fromEntries(graphNode.parameters.map(({ name, value }) => [name, value]));
  try {
    const outputs = await node.execute({ inputs, parameters, signal: abort.signal, send });
    send({ type: "complete", message: "Execution finished.", outputs });
  } catch (error) {
    send({ type: "error", message: abort.signal.aborted ? "Execution cancelled" : error.message });
  }
  aborts.delete(abort);
  if (aborts.size === 0) running.delete(instanceId);
}

function stop(socket, instanceId) {
  const aborts = [...(running.get(instanceId) || [])];
  const message = `Attempted to abort ${aborts.length} active node(s) on this server for instance ${instanceId}.`;
  socket.send(
    JSON.stringify({ type: "ack_stop_workflow", serverUid, instanceId, payload: { success: true, message } }),
  );
  for (const abort of aborts) abort.abort();
}

function shutDown() {
  for (const socket of sockets) socket.close();
  server.close(() => process.exit(0));
  server.closeAllConnections();
}
process.on("SIGINT", shutDown);
process.on("SIGTERM", shutDown);

server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("[NANOSERVER_READY]"));
