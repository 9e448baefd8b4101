// What the server can do. Every node has an optional input `in`, so that any can stand anywhere in a graph.
"use strict";

const fs = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");

const input = { name: "in", type: "any", optional: true };

function node(uid, outputs, parameters, execute) {
  const definition = { uid, name: uid, category: "Test", version: "1.0.0", inputs: [input], parameters };
  exports[uid] = { definition: { ...definition, outputs: outputs.map((name) => ({ name, type: "any" })) }, execute };
}

const text = (name, value = "") => ({ name, type: "text", value, default: value });
const number = (name, value) => ({ name, type: "number", value, default: value });

node("upper-case", ["text"], [text("suffix")], ({ inputs, parameters }) => ({
  text: (inputs.in || []).map((value) => String(value).toUpperCase() + parameters.suffix),
}));

// One line per execution, on the disk before anything is answered.
node("count", ["label"], [text("file"), text("label"), number("milliseconds", 0)], async ({ parameters, signal }) => {
  const file = fs.openSync(parameters.file, "a");
  fs.writeSync(file, `${parameters.label}\n`);
  fs.fsyncSync(file);
  fs.closeSync(file);
  if (parameters.milliseconds > 0) await sleep(parameters.milliseconds, undefined, { signal });
  return { label: [parameters.label] };
});

node("sleep", ["done"], [number("seconds", 5)], async ({ parameters, signal }) => {
  await sleep(parameters.seconds * 1000, undefined, { signal });
  return { done: [true] };
});

node("fail", ["never"], [text("message", "failed as asked")], ({ parameters }) => {
  throw new Error(parameters.message);
});

// Ends the process without a word, unless the file is there, which it makes: the second time it goes well.
node("crash-once", ["survived"], [text("file")], ({ parameters }) => {
  if (!fs.existsSync(parameters.file)) {
    fs.writeFileSync(parameters.file, "");
    process.kill(process.pid, "SIGKILL");
  }
  return { survived: [true] };
});
