// The reader of the reference: their role, and real ids for the examples.

import { client, token } from './api.js';
import { identity } from './identity.js';

export const reader = { agents: [] };

const listeners = new Set();

/** Calls a listener now and after each change. */
export function whenReaderChanges(listener) {
  listeners.add(listener);
  listener();
}

export async function readReader() {
  const { isRefused, ...me } = await identity().catch(({ status }) => ({ isRefused: status === 401 }));
  const { role, userId } = me;
  const [agents = [], list] = role ? await Promise.all([
    client.agents().catch(() => undefined), client.listSessions({ limit: 1, userId }).catch(() => undefined),
  ]) : [];
  const needsToken = role ? role !== 'anonymous' : Boolean(isRefused || token.get());
  Object.assign(reader, { role: undefined, userId: undefined, isAdmin: false, ...me, agents, session: list?.sessions[0], needsToken });
  for (const listener of listeners) listener();
}

/** Stands for the id of a session, if none is known. */
export const NO_SESSION = 'SESSION_ID';

/** An id for a field of this name, or undefined. */
export function idFor(name) {
  const { session, agents, userId } = reader;
  const agent = agents[0]?.id ?? 'b850bc30-45f8-0041-a00a-83df46d8555d';
  if (/^(sessionId|channelId|channel_id)$/.test(name)) return session?.sessionId ?? NO_SESSION;
  // The author of a submitted reply must be the agent of the session.
  return { agentId: agent, author_id: session?.agentId ?? agent, userId }[name];
}

/** An example with real ids. */
export const withIds = (example) => JSON.parse(JSON.stringify(example), (name, value) => (typeof value === 'string' && idFor(name)) || value);

/** Whether the role of the reader may not call an operation. */
export const isDenied = ({ roles }) => Boolean(roles && reader.role && !reader.isAdmin && !roles.includes(reader.role));
