// Drives the client of @nats-io/services: `client.mjs URL`. It reads one command as JSON from each line of its input,
// and prints one result as JSON to a line of its output; the commands are listed in ../README.md.

import { createInterface } from "node:readline";

import { connect, headersFrom, headersOf, services } from "./connection.mjs";

async function request({ subject, data = "", headers = {}, timeout_s: timeout = 10 }) {
  const options = { timeout: timeout * 1000, headers: headersFrom(headers) };
  const reply = await connection.request(subject, data, options);
  const seen = { data: reply.string(), headers: headersOf(reply) };
  const error = services.ServiceError.toServiceError(reply);
  if (!error) return { ok: seen };
  const { code, message } = error;
  return { error: { type: "ServiceError", message, code, description: message, ...seen } };
}

async function discover({ op, service, instance, max_wait_s: maxWait = 2, max_count: maxCount }) {
  const maxMessages = instance === undefined ? maxCount : 1;
  const strategy = maxMessages === undefined ? "stall" : "count";
  const client = manager.client({ strategy, maxWait: maxWait * 1000, maxMessages });
  const found = [];
  for await (const document of await client[op](service, instance)) found.push(document);
  return { ok: instance === undefined ? found : found[0] };
}

const operations = { request, ping: discover, info: discover, stats: discover };

async function answer(command) {
  try {
    return await operations[command.op](command);
  } catch (error) {
    return { error: { type: error.name, message: error.message } };
  }
}

const print = (result) => console.log(JSON.stringify(result));

const connection = await connect(process.argv[2]);
const manager = new services.Svcm(connection);
// What it prints when it is ready for commands.
print({ id: 0 });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  print({ id: command.id, ...(await answer(command)) });
}
await connection.close();
