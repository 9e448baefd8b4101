// The server's side of RFC 6455, as far as a test needs it: text, fragments, ping, close. No extensions.
"use strict";

const { createHash } = require("node:crypto");

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** Answers an upgrade; `on.text` gets each whole message, `on.closed` is called once. */
exports.accept = function accept(request, stream, head, on) {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const answer = createHash("sha1").update(key).digest("base64");
  stream.setNoDelay(true);
  stream.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${answer}\r\n\r\n`,
  );
  const socket = {
    send: (text) => stream.writable && stream.write(frame(TEXT, Buffer.from(text))),
    close: () => stream.writable && stream.end(frame(CLOSE, Buffer.from([0x03, 0xe8]))),
  };
  let buffer = head;
  let fragments = [];
  const received = (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (let next = parse(buffer); next; next = parse(buffer)) {
      buffer = buffer.subarray(next.length);
      if (next.opcode === PING) {
        stream.write(frame(PONG, next.payload));
      } else if (next.opcode === CLOSE) {
        socket.close();
      } else if (next.opcode <= TEXT) {
        fragments.push(next.payload);
        if (!next.isLast) continue;
        const text = Buffer.concat(fragments).toString();
        fragments = [];
        on.text(text);
      }
    }
  };
  stream.on("data", received);
  stream.on("error", () => stream.destroy());
  stream.on("close", on.closed);
  // What came with the request; the caller has its socket by then.
  setImmediate(received, Buffer.alloc(0));
  return socket;
};

function frame(opcode, payload) {
  const size = payload.length;
  let header;
  if (size < 126) {
    header = Buffer.from([0x80 | opcode, size]);
  } else if (size < 65536) {
    header = Buffer.from([0x80 | opcode, 126, size >> 8, size & 0xff]);
  } else {
    header = Buffer.alloc(10);
    header.writeUInt16BE(((0x80 | opcode) << 8) | 127);
    header.writeBigUInt64BE(BigInt(size), 2);
  }
  return Buffer.concat([header, payload]);
}

/** The first frame and its length with the header, once it is whole. A client's frames are masked. */
function parse(buffer) {
  if (buffer.length < 2) return null;
  let size = buffer[1] & 0x7f;
  let at = 2;
  if (size === 126) {
    if (buffer.length < 4) return null;
    [size, at] = [buffer.readUInt16BE(2), 4];
  } else if (size === 127) {
    if (buffer.length < 10) return null;
    [size, at] = [Number(buffer.readBigUInt64BE(2)), 10];
  }
  const start = at + 4;
  if (buffer.length < start + size) return null;
  const mask = buffer.subarray(at, start);
  const payload = Buffer.from(buffer.subarray(start, start + size));
  for (let index = 0; index < size; index++) payload[index] ^= mask[index % 4];
  return { isLast: buffer[0] >= 0x80, opcode: buffer[0] & 0x0f, payload, length: start + size };
}
