// What the scripts here share. The packages lie in the working directory, which is not where the scripts are.

import { createRequire } from "node:module";
import { join } from "node:path";

const packages = createRequire(join(process.cwd(), "package.json"));

export const services = packages("@nats-io/services");

/** Connects, and goes on trying when the server is gone. Unlike other clients it takes no user from the address. */
export function connect(address) {
  const { host, username, password } = new URL(address);
  const given = password ? { user: username, pass: password } : username ? { token: username } : {};
  const options = { servers: host, maxReconnectAttempts: -1, reconnectTimeWait: 100, ...given };
  return packages("@nats-io/transport-node").connect(options);
}

/** The headers of a message as an object of the last values, or an empty one. */
export function headersOf(message) {
  const headers = message.headers;
  return headers ? Object.fromEntries(headers.keys().map((key) => [key, headers.last(key)])) : {};
}

/** An object as the headers of a message. */
export function headersFrom(object) {
  const headers = packages("@nats-io/transport-node").headers();
  for (const [key, value] of Object.entries(object)) headers.append(key, value);
  return headers;
}
