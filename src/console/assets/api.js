// The API of the server, through the client library.

import { SessiondClient, SessiondError } from '/client.js';

import { token } from './token.js';

export { SessiondError, token };

/** Called when the server rejects a call with a token, or requires one. */
let onUnauthorized = () => {};

export function whenUnauthorized(handler) {
  onUnauthorized = handler;
}

/** Prompts for the token after the prompt was dismissed. */
export function reopenTokenPrompt() {
  onUnauthorized('', true);
}

class ConsoleClient extends SessiondClient {
  async request(method, path, options) {
    const bearer = token.get();
    // What is read is not repeated: the views do that.
    const retries = method === 'GET' ? 0 : undefined;
    try {
      return await super.request(method, path, { retries, ...options });
    } catch (error) {
      if (error.status === 401) onUnauthorized(bearer);
      throw error;
    }
  }
}

/** The token. After a refusal, another tab may be signed in. */
function bearerAfter(refused) {
  if (refused === undefined) return token.get();
  token.refuse(refused);
  return token.ask();
}

export const client = new ConsoleClient({ token: bearerAfter });

// The client keeps a token until it is refused, also after the user has signed out.
token.whenChanged(() => {
  client.token = bearerAfter;
});

const read = (path, options) => client.request('GET', path, { ...options, accept: 'application/json' });
const accepting = (accept, path, options) => client.request('GET', path, { ...options, accept });

/** The calls that are for administrators only. */
export const admin = {
  agents: async (options) => (await read('/api/admin/agents', options)).agents,
  probe: (id, options) => client.request('POST', `/api/admin/agents/${encodeURIComponent(id)}/probe`, { retries: 0, ...options }),
  storage: (options) => read('/api/admin/storage', options),
  verify: () => client.request('POST', '/api/admin/storage/verify'),
  settings: async (options) => (await read('/api/admin/settings', options)).settings,
  log: async (options) => (await read('/api/admin/log', options)).entries,
  history: (options) => read('/api/admin/metrics/history', options),
  metrics: async (options) => (await accepting('text/plain', '/metrics', options)).text(),
  backup: async (options) => (await accepting('application/octet-stream', '/api/admin/backup', options)).blob(),
  /** The lines of a session, or of all. */
  export: async (options) => (await accepting('application/x-ndjson', '/api/admin/export', options)).blob(),
};

let agentNames;

/** The agents' names by id, requested once. */
export function namesOfAgents() {
  agentNames ??= client.agents().then((agents) => new Map(agents.map(({ id, name }) => [id, name])), (error) => {
    agentNames = undefined;
    throw error;
  });
  return agentNames;
}

/** Discards the names, since a new token may show others. */
export function forgetNames() {
  agentNames = undefined;
}
