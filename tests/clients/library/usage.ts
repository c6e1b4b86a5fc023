// Uses every call of the client library, with its types.

import { SessiondClient, SessiondError } from './client.js';
import type { Message, ReplyEvent, Session, SessionEvent } from './client.js';

const signal = AbortSignal.timeout(1000);
const client = new SessiondClient({
  baseUrl: 'http://127.0.0.1:3000',
  token: async (refused) => (refused ? null : 'token'),
  headers: { 'X-Proxy': 'a' },
  retries: 3,
  fetch: globalThis.fetch,
});
client.token = 'another';
client.token = undefined;

const session: Session = await client.createSession(
  { agentId: 'a', userId: 'u', metadata: { title: 'x' }, timeoutConfig: { timeoutMinutes: 5 }, continueFrom: { sessionId: 's' } },
  { key: 'k', signal, retries: 1, onRetry: (error: SessiondError) => console.warn(error.code, error.retryAfter) },
);
const id: string = session.sessionId;
const found: Session[] = (await client.listSessions({ userId: 'u', status: 'all', include: 'lastMessage', limit: 5 }, { signal })).sessions;
const status: 'active' | 'expired' | undefined = found[0]?.status;
const changed: Session[] = [
  await client.getSession(id), await client.updateSession(id, { metadata: { title: null } }),
  await client.updateTimeout(id, { autoRenew: false }), await client.renew(id), await client.heartbeat(id),
];

// What is absent may be undefined, also with exactOptionalPropertyTypes.
const absent = undefined as string | undefined;
const continueFrom = absent === undefined ? undefined : { sessionId: absent, upToMessageId: absent };
await client.createSession({ agentId: 'a', userId: 'u', metadata: undefined, continueFrom }, { key: absent, signal: undefined });
await client.search({ query: absent, cursor: absent });
await client.listSessions({ cursor: absent, q: absent });
await client.messages(id, { before: absent, limit: undefined });
await client.send(id, { content: 'x', clientMessageId: absent }, { retries: undefined, onRetry: undefined });
await client.cancel(id, { messageId: absent });

const waited = await client.send(id, { content: 'x', transport: 'http', attachments: [{ type: 'image/png', url: 'data:', alt: 'a' }] }, { key: 'k' });
const words: string = waited.agentResponse.text + waited.userMessage.content;
const renewed: boolean = (await client.send(id, { content: 'x', clientMessageId: 'k' })).sessionStatus.wasRenewed;

function show(event: ReplyEvent): string {
  switch (event.type) {
    case 'user_message': return event.data.sessionStatus.expiresAt;
    case 'activity': return `${event.data.kind} ${event.data.name ?? ''}`;
    case 'chunk': return event.data.text.slice(event.data.index);
    case 'done': return event.data.metadata.model ?? event.data.text;
  }
}

function hear(event: SessionEvent): unknown {
  if (event.type === 'state') return event.data.partial?.text;
  if (event.type === 'disconnected') return event.data.error.code;
  if (event.type === 'messageBroadcast') return event.data.createdAt + Number(event.id);
  if (event.type === 'messageStreamChunk') return event.data.text;
  if (event.type === 'controlMessage') return event.data.action === 'enable_input';
  return event.type;
}

try {
  for await (const event of client.stream(id, { content: 'x' }, { signal })) show(event);
  for await (const event of client.events(id, { after: new Date(), signal })) hear(event);
} catch (error) {
  if (error instanceof SessiondError && error.retryable) console.warn(error.status, error.reason, error.details.userMessage, error.requestId);
}

const messages: Message[] = (await client.messages(id, { before: Date.now(), after: '2026-01-01T00:00:00Z', limit: 10 })).messages;
const old: number | undefined = (await client.transcript(id)).cursors?.before;
const { cancelled }: { cancelled: string[] } = await client.cancel(id, { messageId: 'm', keepPartial: false }, { signal });
const next: string | undefined = (await client.search({ query: 'x', from: 0 })).nextCursor;
await client.submit({ channel_id: id, author_id: 'a', content: 'x' }, { key: 'k' });
const names: string[] = (await client.agents()).map(({ name }) => name);
const system: unknown = (await client.agent('a')).system;
const role: 'anonymous' | 'server' | 'user' | 'admin' = (await client.me()).role;
const reasons: string[] | undefined = (await client.health()).reasons;
const erased: number = await client.deleteUserSessions('u');
await client.deleteSession(id);
const file: Response = await client.request('GET', '/api/admin/export', { query: { session: id, at: new Date() }, accept: 'application/x-ndjson', idempotent: true, body: undefined });

export { cancelled, changed, erased, file, messages, names, next, old, reasons, renewed, role, status, system, words };
