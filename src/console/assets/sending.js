// Sends messages, and continues conversations in new sessions.

import { client } from './api.js';
import { saveDraft } from './composer.js';
import { notify } from './dom.js';

/** The messages that were sent from this page, with their keys, by which a failed turn is repeated. */
const sent = new Map();

/** Sends a message until the server has responded. With the same key it is stored only once. */
export async function send(sessionId, body, key) {
  const answer = await client.send(sessionId, body, { key, retries: Infinity });
  const { id, clientMessageId } = answer.userMessage;
  sent.set(id, { ...body, clientMessageId });
  return answer;
}

export const canRepeat = (messageId) => sent.has(messageId);

/** Opens the failed turn of a message again. */
export const repeat = (sessionId, messageId) => client.send(sessionId, sent.get(messageId));

const like = ({ agentId, userId, metadata, timeoutConfig }) => ({ agentId, userId, metadata, timeoutConfig });
const open = ({ sessionId }) => {
  location.hash = `#/sessions/${sessionId}`;
};

/** Continues a session, which may have expired, in a new one. */
export async function continueSession(session) {
  open(await client.createSession({ ...like(session), continueFrom: { sessionId: session.sessionId } }));
}

/** Sends a message again, or another text in its stead, in a session that continues up to it. */
export async function sendAgain(session, message, read, text = message.text) {
  const { messages: [before] } = await read({ before: message.createdAt, limit: 1 });
  const continueFrom = before && { sessionId: session.sessionId, upToMessageId: before.id };
  const created = await client.createSession({ ...like(session), continueFrom });
  try {
    await send(created.sessionId, { content: text, metadata: ownMetadata(message, session), attachments: message.attachments });
    notify('Continued in a new session. The earlier one is unchanged.', 'good');
  } catch (error) {
    saveDraft(created.sessionId, text);
    notify(error.message, 'bad');
  }
  open(created);
}

/** A message's metadata without the session's, which is merged into it. */
function ownMetadata({ metadata }, session) {
  const isOwn = ([name, value]) =>
    name !== 'sessionId' && name !== 'agentError' && JSON.stringify(value) !== JSON.stringify(session.metadata[name]);
  return Object.fromEntries(Object.entries(metadata).filter(isOwn));
}
