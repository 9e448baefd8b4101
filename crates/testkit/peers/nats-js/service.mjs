// The service of the recorded exchanges, built with @nats-io/services: `service.mjs URL [NAME]`.

import { setTimeout as sleep } from "node:timers/promises";

import { connect, headersFrom, headersOf, services } from "./connection.mjs";

const echo = (_error, message) => message.respond(message.data);

const boom = () => {
  throw new Error("kaboom");
};

const asyncBoom = async () => {
  throw new Error("kaboom");
};

const err = (_error, message) =>
  message.respondError(404, "not found", '{"k":1}', { headers: headersFrom({ "X-A": "1" }) });

const seenHeaders = (_error, message) => {
  const seen = JSON.stringify(headersOf(message));
  message.respond(seen, { headers: headersFrom({ "X-Sub": message.subject }) });
};

const slow = async (_error, message) => {
  await sleep(300);
  message.respond("slow");
};

const silent = () => {};

const twice = (_error, message) => {
  message.respond("1");
  message.respond("2");
};

function addEndpoints(service) {
  const reset = (_error, message) => {
    service.reset();
    message.respond("");
  };
  service.addEndpoint("echo", echo);
  const demo = service.addGroup("demo", "gq");
  demo.addEndpoint("echo", { subject: "ECHO", handler: echo, metadata: { m: "1" } });
  const sub = demo.addGroup("sub");
  sub.addEndpoint("boom", boom);
  sub.addEndpoint("aboom", asyncBoom);
  sub.addEndpoint("err", err);
  sub.addEndpoint("hdrs", seenHeaders);
  sub.addEndpoint("slow", slow);
  sub.addEndpoint("silent", silent);
  sub.addEndpoint("twice", twice);
  service.addEndpoint("wild", { subject: "w.*.x.>", handler: seenHeaders });
  service.addEndpoint("reset", reset);
}

// A handler that rejects ends the process otherwise.
process.on("unhandledRejection", (error) => console.error(error));

const [address, name = "demo-service"] = process.argv.slice(2);
const connection = await connect(address);
const service = await new services.Svcm(connection).add({
  name,
  version: "1.0.0",
  description: "Demo service",
  metadata: { team: "a" },
  statsHandler: async (endpoint) => (endpoint.name === "echo" ? { k: 1 } : undefined),
});
addEndpoints(service);
await connection.flush();
console.log(`READY ${service.ping().id}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    await service.stop();
    await connection.drain();
    process.exit(0);
  });
}
