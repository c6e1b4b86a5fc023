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
  const { method = 'GET', body, headers = {}, signal, trial } = options;
  const sent = { Accept: 'application/json', ...headers };
  const bearer = trial ?? token.get();
  if (bearer) sent.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) sent['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, {
      method, signal, headers: sent, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body),
    });
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
  let answer = {};
  try {
    answer = await response.json();
  } catch {
    // A proxy may have sent a response of its own.
  }
  const message = answer.error?.details || answer.error?.message || `The server responded with status ${response.status}.`;
  return new CallError(response.status, answer.code ?? '', message, { ...answer.details, body: answer });
}

const json = async (path, options) => (await call(path, options)).json();
const session = (id) => `${SESSIONS}/${encodeURIComponent(id)}`;

/** The parameters that are set, as a query string. */
function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return set.length ? `?${new URLSearchParams(set)}` : '';
}

export const api = {
  sessions: (parameters, signal) => json(SESSIONS + query(parameters), { signal }),
  create: (body) => json(SESSIONS, { method: 'POST', body }),
  session: (id, signal) => json(session(id), { signal }),
  renew: (id) => json(`${session(id)}/renew`, { method: 'POST' }),
  setTimeout: (id, body) => json(`${session(id)}/timeout`, { method: 'PATCH', body }),
  remove: (id) => json(session(id), { method: 'DELETE' }),
  messages: (id, parameters, signal) => json(`${session(id)}/messages${query(parameters)}`, { signal }),
  transcript: (id, parameters, signal) =>
    json(`/api/messaging/channels/${encodeURIComponent(id)}/messages${query(parameters)}`, { signal }),
  send: (id, body) => json(`${session(id)}/messages`, { method: 'POST', body }),
  /** The role of the caller, and the id of a user. */
  me: (signal) => json('/api/auth/me', { signal }),
  removeAllOf: (userId) => json(SESSIONS + query({ userId }), { method: 'DELETE' }),
  /** The lines of a session, or of the sessions of a user: `{ session }` or `{ userId }`. */
  exportOf: async (parameters) => (await call(`/api/admin/export${query(parameters)}`, { headers: { Accept: 'application/x-ndjson' } })).text(),
  export: (id) => api.exportOf({ session: id }),
  agents: async (signal) => (await json('/api/agents', { signal })).data.agents,
  /** The health, also when it is reported as an error. */
  health: async (signal) => {
    try {
      return await json(`${SESSIONS}/health`, { signal });
    } catch (error) {
      if (error.status === 503 && error.details.body?.status) return error.details.body;
      throw error;
    }
  },
  metrics: async (signal) => (await call('/metrics', { signal, headers: { Accept: 'text/plain' } })).text(),
  events: (id, lastEventId, signal) =>
    call(`${session(id)}/events`, {
      signal,
      headers: { Accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'Last-Event-ID': String(lastEventId) }) },
    }),
  agentStates: async (signal) => (await json('/api/admin/agents', { signal })).agents,
  probe: (id, signal) => json(`/api/admin/agents/${encodeURIComponent(id)}/probe`, { method: 'POST', signal }),
  storage: (signal) => json('/api/admin/storage', { signal }),
  verify: () => json('/api/admin/storage/verify', { method: 'POST' }),
  settings: async (signal) => (await json('/api/admin/settings', { signal })).settings,
  log: async (signal) => (await json('/api/admin/log', { signal })).entries,
  history: (signal) => json('/api/admin/metrics/history', { signal }),
  file: async (path, type, signal) => (await call(path, { signal, headers: { Accept: type } })).blob(),
  update: (id, body) => json(session(id), { method: 'PATCH', body }),
  cancel: (id) => json(`${session(id)}/cancel`, { method: 'POST' }),
  searchMessages: (body, signal) => json('/api/messaging/messages/search', { method: 'POST', body, signal }),
};

let agentNames;

/** The agents' names by id, requested once. */
export async function namesOfAgents() {
  agentNames ??= api.agents().then((agents) => new Map(agents.map(({ id, name }) => [id, name])));
  try {
    return await agentNames;
  } catch (error) {
    agentNames = undefined;
    throw error;
  }
}

/** Discards the names, since a new token may show others. */
export function forgetNames() {
  agentNames = undefined;
}
