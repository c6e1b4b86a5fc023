// What the tests of the client library need: servers that they stop and start, a proxy that loses
// answers, and an agent that says what a test wants. SESSIOND_BINARY is the program, and
// SESSIOND_EXAMPLES the directory of the examples.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const binary = process.env.SESSIOND_BINARY;
assert.ok(binary, 'SESSIOND_BINARY must name the program');

export const EXAMPLES = process.env.SESSIOND_EXAMPLES;
assert.ok(EXAMPLES, 'SESSIOND_EXAMPLES must name the directory of the examples');

export const ELIZA = 'b850bc30-45f8-0041-a00a-83df46d8555d';
export const STORYTELLER = '00000000-0000-4000-8000-00000000005e';
export const PERSON = '00000000-0000-4000-8000-00000000005f';
export const OPTIONS = { timeout: 120_000 };

/** Runs the program until its input ends, so that it never outlives a test; a line of input is a signal for it. */
const KEEPER = '"$0" & read signal; kill -"${signal:-KILL}" $!; wait $!';

/** A server with its own data. */
export class Server {
  #settings;
  #process;

  /** Starts a server; `agent` is the webhook of its storyteller, and `dotEnv` the text of its `.env` file. */
  static async start({ agent, dotEnv = '', ...settings } = {}) {
    const server = new Server();
    server.directory = await mkdtemp(join(tmpdir(), 'sessiond-library-'));
    await mkdir(join(server.directory, 'agents'));
    await writeFile(join(server.directory, '.env'), dotEnv);
    const agents = [
      { id: STORYTELLER, name: 'Storyteller', settings: { backend: { type: 'webhook', url: agent?.url ?? 'http://127.0.0.1:9/' } } },
      { id: PERSON, name: 'Person', settings: { backend: { type: 'external' } } },
    ];
    for (const one of agents) {
      await writeFile(join(server.directory, 'agents', `${one.name}.json`), JSON.stringify(one));
    }
    server.#settings = { SERVER_PORT: '0', DATA_DIR: server.directory, LOG_FORMAT: 'json', ...settings };
    await server.resume();
    return server;
  }

  /** Starts the server again, at the same address. */
  async resume() {
    const env = { PATH: process.env.PATH, ...this.#settings };
    this.#process = spawn('sh', ['-c', KEEPER, binary], { env, cwd: this.directory, stdio: ['pipe', 'pipe', 'pipe'] });
    const log = [];
    const found = new Promise((resolve, reject) => {
      const read = (line) => {
        log.push(line);
        const [, url] = /listening on (http:\/\/[\d.:]+)/.exec(line) ?? [];
        if (url) resolve(url);
      };
      for (const stream of [this.#process.stdout, this.#process.stderr]) createInterface({ input: stream }).on('line', read);
      this.#process.once('exit', () => reject(new Error(`the server ended:\n${log.join('\n')}`)));
    });
    this.url = await found;
    this.#settings.SERVER_PORT = new URL(this.url).port;
  }

  /** Stops the server, by default as a crash does. */
  async stop(signal = 'KILL') {
    const ended = once(this.#process, 'exit');
    this.#process.stdin.end(`${signal}\n`);
    await ended;
  }

  async remove() {
    await this.stop();
    await rm(this.directory, { recursive: true });
  }
}

/** A proxy that records requests, and answers, loses or cuts them as a test wants. */
export class Gate {
  requests = [];
  /** For each of the next requests `'drop'` (the answer is lost), `'hang'` (it is never sent on), an answer
   * `{ status, headers, body }`, or nothing. */
  next = [];
  #sockets = new Set();
  #answers = new Set();
  #agent = new http.Agent();

  static async open(target) {
    const gate = new Gate();
    gate.target = target;
    gate.server = http.createServer((request, response) => gate.#forward(request, response));
    gate.server.on('connection', (socket) => {
      gate.#sockets.add(socket);
      socket.on('close', () => gate.#sockets.delete(socket));
    });
    await once(gate.server.listen(0, '127.0.0.1'), 'listening');
    gate.url = `http://127.0.0.1:${gate.server.address().port}`;
    return gate;
  }

  async #forward(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    const { method, url, headers } = request;
    this.requests.push({ method, url, headers, body: body.toString() });
    const rule = this.next.shift();
    if (rule === 'hang') return undefined;
    if (rule?.status) return response.writeHead(rule.status, rule.headers).end(rule.body);
    const { host: _, ...kept } = headers;
    const upstream = http.request(this.target.url + url, { method, headers: kept, agent: this.#agent }, (answer) => {
      if (rule === 'drop') return answer.on('end', () => response.destroy()).resume();
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      this.#answers.add(answer);
      answer.on('close', () => this.#answers.delete(answer));
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    return upstream.end(body);
  }

  /** Cuts all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Passes nothing more on of what is being answered, without a word. */
  freeze() {
    for (const answer of this.#answers) answer.unpipe().resume();
  }

  /** Returns the recorded requests whose path ends so. */
  of(method, end) {
    return this.requests.filter((request) => request.method === method && request.url.endsWith(end));
  }

  close() {
    this.cut();
    this.server.close();
    this.#agent.destroy();
  }
}

/** The webhook of an agent; each call waits for the test's words. */
export class Storyteller {
  calls = [];
  #taken = new Set();

  static async open() {
    const agent = new Storyteller();
    agent.server = http.createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.flushHeaders();
      agent.calls.push(new Call(JSON.parse(Buffer.concat(parts)), response));
    });
    await once(agent.server.listen(0, '127.0.0.1'), 'listening');
    agent.url = `http://127.0.0.1:${agent.server.address().port}/`;
    return agent;
  }

  /** Waits for the next call, of a session if one is named. */
  async next(sessionId) {
    const isNext = (call) => !this.#taken.has(call) && (!sessionId || call.body.sessionId === sessionId);
    const call = await until(() => this.calls.find(isNext), 'the agent is called');
    this.#taken.add(call);
    return call;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

class Call {
  constructor(body, response) {
    this.body = body;
    this.response = response;
    this.closed = once(response, 'close');
  }

  #write(event, data) {
    this.response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  say(chunk) {
    this.#write('chunk', { chunk });
  }

  act(activity) {
    this.#write('activity', activity);
  }

  done(text, more = {}) {
    this.#write('done', { text, ...more });
    this.response.end();
  }

  /** Closes the connection in the middle of the reply. */
  fail() {
    this.response.destroy();
  }
}

/** Starts a program with a file of the examples, or of these tests. */
export function start(program, file, settings = {}, ...args) {
  const path = file.includes('/') ? file : join(EXAMPLES, file);
  const env = { PATH: process.env.PATH, SESSIOND_EXAMPLES: EXAMPLES, PYTHONDONTWRITEBYTECODE: '1', ...settings };
  const child = spawn(program, [path, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const started = { output: '', errors: '' };
  child.stdout.on('data', (data) => (started.output += data));
  child.stderr.on('data', (data) => (started.errors += data));
  let code;
  started.ended = once(child, 'close').then(([status]) => {
    code = status;
    return { code, output: started.output + started.errors };
  });
  started.find = (pattern) =>
    until(() => {
      assert.equal(code, undefined, started.output + started.errors);
      return pattern.exec(started.output);
    }, `${file} prints ${pattern}`);
  started.stop = () => child.kill();
  return started;
}

/** Downloads the modules as the server serves them, and imports one. */
export async function load(server, name = 'client') {
  const names = ['client.js', 'client.d.ts', 'chat-transport.js', 'chat-transport.d.ts'];
  const directory = await mkdtemp(join(import.meta.dirname, 'served-'));
  for (const file of names) {
    const response = await fetch(`${server.url}/${file}`);
    assert.equal(response.status, 200, file);
    await writeFile(join(directory, file), await response.text());
  }
  return { directory, ...(await import(join(directory, 'client.js'))), ...(name === 'client' ? {} : await import(join(directory, `${name}.js`))) };
}

/** Collects what an iterator yields. */
export class Events {
  all = [];
  isOver = false;

  constructor(iterator) {
    this.ended = this.#read(iterator);
  }

  async #read(iterator) {
    try {
      for await (const event of iterator) this.all.push(event);
      return undefined;
    } catch (error) {
      this.error = error;
      return error;
    } finally {
      this.isOver = true;
    }
  }

  of(type) {
    return this.all.filter((event) => event.type === type).map(({ data }) => data);
  }

  types() {
    return this.all.map(({ type }) => type);
  }

  /** Waits for the `count`th event of a type. */
  async get(type, count = 1) {
    return until(() => {
      const found = this.of(type)[count - 1];
      assert.ok(found || !this.isOver, `the events ended without ${type} no. ${count}: ${JSON.stringify(this.all)} ${this.error}`);
      return found;
    }, `${type} no. ${count} comes`);
  }
}

/** Waits until a condition holds. */
export async function until(condition, what) {
  const start = Date.now();
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() - start < 60_000, `it never came about that ${what}`);
    await sleep(10);
  }
}

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function jwt(secret, sub, seconds = 600) {
  const claims = { sub, exp: Math.floor(Date.now() / 1000) + seconds };
  const message = `${base64({ alg: 'HS256', typ: 'JWT' })}.${base64(claims)}`;
  return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`;
}
