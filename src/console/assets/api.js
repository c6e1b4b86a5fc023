// Calls of the API.

import { token } from './token.js';

export { token };

const SESSIONS = '/api/messaging/sessions';

/** Called when the server rejects a call with a token, or requires one. */
let onUnauthorized = () => {};

/** A failed call, with a message for people. */
export class CallError extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    Object.assign(this, { status, code, details });
  }
}

export function whenUnauthorized(handler) {
  onUnauthorized = handler;
}

/** Prompts for the token after the prompt was dismissed. */
export function reopenTokenPrompt() {
  onUnauthorized('', true);
}

/** Returns a successful response; throws otherwise. `trial` is a token that is not in use yet. */
export async function call(path, options = {}) {
  const { method = 'GET', body, headers, signal, trial } = options;
  const bearer = trial ?? token.get();
  const sent = {
    Accept: 'application/json', ...headers, ...(bearer && { Authorization: `Bearer ${bearer}` }), ...(body && { 'Content-Type': 'application/json' }),
  };
  let response;
  try {
    response = await fetch(path, { method, signal, headers: sent, cache: 'no-store', body: JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CallError(0, 'UNREACHABLE', 'The server does not respond. Retrying.');
  }
  if (response.ok) return response;
  const error = await failure(response);
  if (response.status === 401 && !trial) {
    token.refuse(bearer);
    // Another tab may be signed in.
    if (!options.isRepeated && (await token.ask())) return call(path, { ...options, isRepeated: true });
    onUnauthorized(bearer);
  }
  throw error;
}

async function failure(response) {
  // A proxy may have sent a response of its own.
  const answer = (await response.json().catch(() => undefined)) ?? {};
  const message = answer.error?.details || answer.error?.message || `The server responded with status ${response.status}.`;
  return new CallError(response.status, answer.code ?? '', message, { ...answer.details, body: answer });
}

const json = async (path, options) => (await call(path, options)).json();
const get = (path, signal) => json(path, { signal });
const post = (path, body, signal) => json(path, { method: 'POST', body, signal });
const accepting = (type, path, signal) => call(path, { signal, headers: { Accept: type } });
const session = (id) => `${SESSIONS}/${encodeURIComponent(id)}`;

/** A path with the parameters that are set. */
function withQuery(path, parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}

export const api = {
  sessions: (parameters, signal) => get(withQuery(SESSIONS, parameters), signal),
  create: (body) => post(SESSIONS, body),
  session: (id, signal) => get(session(id), signal),
  renew: (id) => post(`${session(id)}/renew`),
  setTimeout: (id, body) => json(`${session(id)}/timeout`, { method: 'PATCH', body }),
  update: (id, body) => json(session(id), { method: 'PATCH', body }),
  remove: (id) => json(session(id), { method: 'DELETE' }),
  removeAllOf: (userId) => json(withQuery(SESSIONS, { userId }), { method: 'DELETE' }),
  messages: (id, parameters, signal) => get(withQuery(`${session(id)}/messages`, parameters), signal),
  transcript: (id, parameters, signal) => get(withQuery(`/api/messaging/channels/${encodeURIComponent(id)}/messages`, parameters), signal),
  send: (id, body) => post(`${session(id)}/messages`, body),
  cancel: (id) => post(`${session(id)}/cancel`),
  searchMessages: (body, signal) => post('/api/messaging/messages/search', body, signal),
  events: (id, lastEventId, signal) => call(`${session(id)}/events`, {
    signal, headers: { Accept: 'text/event-stream', ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }) },
  }),
  /** The role of the caller, and the id of a user. */
  me: (signal) => get('/api/auth/me', signal),
  /** The lines of a session. */
  export: async (id) => (await accepting('application/x-ndjson', withQuery('/api/admin/export', { session: id }))).text(),
  agents: async (signal) => (await get('/api/agents', signal)).data.agents,
  /** The health, also when it is reported as an error. */
  health: (signal) => get(`${SESSIONS}/health`, signal).catch((error) => {
    if (error.status === 503 && error.details.body?.status) return error.details.body;
    throw error;
  }),
  metrics: async (signal) => (await accepting('text/plain', '/metrics', signal)).text(),
  agentStates: async (signal) => (await get('/api/admin/agents', signal)).agents,
  probe: (id, signal) => post(`/api/admin/agents/${encodeURIComponent(id)}/probe`, undefined, signal),
  storage: (signal) => get('/api/admin/storage', signal),
  verify: () => post('/api/admin/storage/verify'),
  settings: async (signal) => (await get('/api/admin/settings', signal)).settings,
  log: async (signal) => (await get('/api/admin/log', signal)).entries,
  history: (signal) => get('/api/admin/metrics/history', signal),
  file: async (path, type, signal) => (await accepting(type, path, signal)).blob(),
};

let agentNames;

/** The agents' names by id, requested once. */
export function namesOfAgents() {
  agentNames ??= api.agents().then((agents) => new Map(agents.map(({ id, name }) => [id, name])), (error) => {
    agentNames = undefined;
    throw error;
  });
  return agentNames;
}

/** Discards the names, since a new token may show others. */
export function forgetNames() {
  agentNames = undefined;
}
