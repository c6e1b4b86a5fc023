// A webhook agent whose replies the tests write.

import { createServer } from 'node:http';
import { once } from 'node:events';

const agents = new Set();

export class Agent {
  /** Called with each turn: `turn.message`, `turn.history`, and what it answers with. */
  answer = (turn) => turn.done('Yes.');

  static async start(name = 'Scripted') {
    const agent = new Agent();
    agent.name = name;
    agent.server = createServer((request, response) => agent.handle(request, response));
    agent.server.listen(0, '127.0.0.1');
    await once(agent.server, 'listening');
    agents.add(agent);
    return agent;
  }

  /** The character file that names this agent. */
  get file() {
    const url = `http://127.0.0.1:${this.server.address().port}/reply`;
    return { name: this.name, settings: { backend: { type: 'webhook', url, historyMessages: 40 } } };
  }

  async handle(request, response) {
    let body = '';
    for await (const piece of request) body += piece;
    this.answer(new Turn(JSON.parse(body), response));
  }

  /** Its id on a server. */
  async id(server) {
    const { data } = await server.call('GET', '/api/agents');
    return data.agents.find(({ name }) => name === this.name).id;
  }
}

class Turn {
  constructor({ message, history }, response) {
    Object.assign(this, { message, history, response });
  }

  send(event, data) {
    if (!this.response.headersSent) this.response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    this.response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  chunk(text) {
    this.send('chunk', { chunk: text });
  }

  done(text, fields = {}) {
    this.send('done', { text, ...fields });
    this.response.end();
  }

  refuse(status, body) {
    this.response.writeHead(status, { 'Content-Type': 'application/json' });
    this.response.end(JSON.stringify(body));
  }
}

export function endAgents() {
  for (const { server } of agents) {
    server.closeAllConnections();
    server.close();
  }
}
