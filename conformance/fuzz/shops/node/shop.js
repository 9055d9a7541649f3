// The shop on grpc-js: node shop.js PORT FAULT, where the fault "sound" is none.
'use strict';
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [port, fault] = process.argv.slice(2);
const proto = path.join(__dirname, 'shop.proto');
const definition = loader.loadSync(proto, { keepCase: true, longs: String, enums: Number, defaults: true, oneofs: true });
const { Shop } = grpc.loadPackageDefinition(definition).shop.v1;

const refuse = (details) => ({ code: grpc.status.INVALID_ARGUMENT, details });
const settings = {};
let unanswered = 0;
let turns = Promise.resolve();
let last = '';
const kept = [];


async function discounted(order) {
  return order.address.city.length;
}

const shop = {
  GetItem(call, callback) {
    let { request } = call;
    const { metadata } = call;
    if (fault === 'json-in-metadata' && metadata.get('x-tenant-id').length) JSON.parse(metadata.get('x-tenant-id')[0]);
    if (fault === 'stack-in-status' && !/^[a-z0-9]*$/.test(request.id)) {
      return callback({ code: grpc.status.INVALID_ARGUMENT, details: new Error(`id ${request.id}`).stack });
    }
    if (fault === 'slow-expression') /^(\w+\s?)*$/.test(request.id.slice(0, 40));
    if (fault === 'answers-twice' && request.id.length > 64) {
      setImmediate(() => { throw new Error('write after end'); });
    }
    if (fault === 'listener-for-each-call') {
      const kept = Buffer.alloc(96 << 10, 1);
      process.on('exit', () => kept.length);
      process.setMaxListeners(0);
    }
    if (fault === 'lock-kept-when-cancelled') {
      // Whoever is behind waits for its turn.
      const turn = turns;
      let done;
      turns = new Promise((resolve) => { done = resolve; });
      turn.then(() => setTimeout(() => {
        if (call.cancelled) return;
        done();
        callback(null, { id: request.id, title: 'rose', price: 1.5, color: request.color });
      }, 2));
      return;
    }
    if (fault === 'as-a-date' && request.id) {
      try { new Date(request.id).getTime(); } catch (error) { return callback(refuse('id')); }
      if (/^-?[0-9]+$/.test(request.id)) new Date(Number(request.id)).toISOString();
    }
    if (fault === 'decoded' && request.id) decodeURIComponent(request.id);
    if (fault === 'answer-of-before') { const before = last; last = request.id; request = { ...request, id: before || request.id }; }
    if (request.id.length > 1000) return callback(refuse('id: at most 1000 characters'));
    callback(null, { id: request.id, title: 'rose', price: 1.5, color: request.color });
  },
  ListItems({ request }, callback) {
    if (fault === 'array-of-size') new Array(request.page_size);
    if (fault === 'parsed-token' && request.page_token) {
      return callback(null, { items: JSON.parse(Buffer.from(request.page_token, 'base64').toString() || '[]').slice(0, 1).map(() => ({})) });
    }
    if (request.page_size < 0) return callback(refuse('page_size: not below 0'));
    if (fault === 'no-answer' && request.page_token && !/^[A-Za-z0-9=]+$/.test(request.page_token)) {
      unanswered += 1;
      return;
    }
    const items = [];
    for (let number = 0; number < Math.min(request.page_size, 20); number++) items.push({ id: `${number}`, title: 'rose' });
    callback(null, { items, next_page_token: 'MTAw' });
  },
  Quote({ request }, callback) {
    if (fault === 'rejection') discounted(request);
    if (fault === 'kept-from-others') Object.assign(settings, request.notes);
    if (fault === 'names-of-objects') {
      const groups = {};
      for (const name of Object.keys(request.notes)) (groups[name] = groups[name] || []).push(name);
    }
    if (fault === 'deep-copy') { const copy = (order) => (order ? { ...order, replaces: copy(order.replaces), again: copy(order.replaces) } : null); copy(request); }
    if (fault === 'total-in-words') 'x'.repeat(request.lines.reduce((sum, line) => sum + line.quantity, 0) / 100);
    if (fault === 'orders-are-kept') kept.push(Buffer.alloc(64 << 10, 1));
    let total = 0;
    for (const line of request.lines) {
      if (line.quantity <= 0 || line.quantity >= 1e6) return callback(refuse('quantity: out of range'));
      total += 9.99 * line.quantity;
    }
    const text = fault === 'kept-from-others' ? Object.values(settings).join('') : '';
    callback(null, { total, lines: request.lines.length, text: text + (request.address ? request.address.city : '') });
  },
  Watch(call) {
    const { count, prefix } = call.request;
    if (count < 0 || count > 1000 || prefix.length > 1000) {
      call.emit('error', refuse('count: 0 to 1000; prefix: at most 1000 characters'));
      return;
    }
    if (fault === 'timer-for-each-cancelled') {
      const timer = setInterval(() => { for (let at = 0; at < 1e5; at++) Math.sqrt(at); }, 20);
      const begun = setTimeout(() => { clearInterval(timer); if (!call.cancelled) call.end(); }, 5);
      call.on('cancelled', () => clearTimeout(begun));
      return;
    }
    if (fault === 'cancel-ends-process') {
      call.on('cancelled', () => { throw new Error('cancelled'); });
      setTimeout(() => { if (!call.cancelled) call.end(); }, 5);
      return;
    }
    if (fault === 'written-behind-its-end') {
      call.on('cancelled', () => kept.push(1));
      setTimeout(() => { if (kept.length) throw new Error('write after end'); }, 3);
    }
    for (let number = 0; number < count; number++) call.write({ id: `${prefix}${number}` });
    call.end();
  },
  Upload(call, callback) {
    const summary = { size: 0, chunks: 0 };
    call.on('data', (chunk) => {
      if (fault === 'second-chunk' && summary.chunks === 1) throw new Error('one chunk only');
      if (fault === 'unhandled-error' && Number(chunk.offset) < 0) throw new RangeError('offset');
      summary.size += chunk.data.length;
      summary.chunks += 1;
    });
    call.on('end', () => callback(null, summary));
  },
  Chat(call) {
    call.on('data', (line) => {
      if (line.text.length > 1000) call.emit('error', refuse('text: at most 1000 characters'));
      else call.write({ text: line.text, number: line.number });
    });
    call.on('end', () => call.end());
  },
};

const server = new grpc.Server();
server.addService(Shop.service, shop);
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  if (server.start.length === 0 && /^1\.[0-9]\./.test(require('@grpc/grpc-js/package.json').version)) server.start();
});
