// Beside the operations: Socket.IO, streams and errors.

import { copyButton } from './copy.js';
import { h } from './dom.js';
import { idFor, reader, whenReaderChanges } from './reader.js';
import { eventParts, fold, prose, sample, table } from './reference.js';
import { LANGUAGES } from './snippets.js';

const string = JSON.stringify;
const session = () => string(idFor('sessionId'));
const code = (text) => h('code', {}, text);

/** A sample that follows the reader, with a button that copies it. */
function copyable(title, text) {
  const shown = sample('', title);
  whenReaderChanges(() => {
    shown.textContent = text();
  });
  return h('div', { class: 'snippet' }, h('div', { class: 'tabs' }, h('h3', {}, title), copyButton(() => shown.textContent)), shown);
}

const guide = (id, title, ...content) => h('section', { class: 'guide', id, tabindex: '-1', 'aria-label': title }, h('h2', { class: 'group' }, title), ...content);
const paragraphs = (...texts) => texts.map((text) => h('p', { class: 'lead' }, ...prose(text)));

const SENT = [
  ['join', '{ roomId }', '`room_joined` or `messageError`. A room has the `sessionId` of its session as its name.'],
  ['message', '{ type: 2, payload: { channelId, senderId, message, messageId } }', '`messageAck` once the message is stored, or `messageError`. `messageId` is its idempotency key.'],
  ['message', '{ type: 1, payload: { channelId } }', 'As for `join`.'],
  ['leave', '{ roomId }', 'Nothing.'],
];

function sockets(description) {
  const [state, ...events] = description.events(description.operations.find(({ operationId }) => operationId === 'getSessionEvents'));
  const room = state.samples.map((sent) => ({ message: 'Joined', channelId: idFor('sessionId'), roomId: idFor('sessionId'), sessionId: idFor('sessionId'), ...sent }));
  const answers = [
    { name: 'room_joined', text: 'The socket receives the events of the session from now on.', schema: state.schema, samples: room },
    { name: 'messageAck', text: 'A message of this socket is stored.', samples: [{ clientMessageId: 'm-1', messageId: 'MESSAGE_ID', status: 'received_by_server_and_processing', channelId: idFor('sessionId'), roomId: idFor('sessionId') }] },
    { name: 'messageError', text: 'An event of this socket was refused.', samples: [{ error: 'Session not found' }] },
  ];
  return guide('socketio', 'Socket.IO events',
    ...paragraphs('For clients of version 4, over WebSocket or long polling. An event that is sent with a callback is acknowledged with its answer.'),
    copyable('JavaScript', () => `import { io } from "socket.io-client";

const socket = io(${string(location.origin)}${reader.needsToken ? `, { auth: { ${reader.role === 'user' ? 'token' : 'apiKey'}: "TOKEN" } }` : ''});
socket.on("messageError", ({ error }) => console.error(error));
socket.on("messageStreamChunk", ({ chunk }) => console.log(chunk));
socket.on("messageComplete", () => socket.close());
socket.emit("join", { roomId: ${session()} });
socket.emit("message", {
  type: 2,
  payload: {
    channelId: ${session()},
    senderId: ${string(reader.session?.userId ?? reader.userId ?? 'USER_ID')},
    message: "Hello!",
    messageId: crypto.randomUUID(),
  },
});`),
    table('Client to server', ['Event', 'Payload', 'Answer'], SENT.map(([name, payload, answer]) => [code(name), code(payload), prose(answer)])),
    h('h3', {}, 'Server to client'),
    h('div', { class: 'card list' }, ...[...answers, ...events].map((event) =>
      fold({}, [code(event.name), ' ', h('span', { class: 'muted' }, ...prose(event.text))], () => eventParts(description, event)))));
}

const streams = () => guide('streams', 'Streams',
  ...paragraphs(
    '`GET /api/messaging/sessions/{sessionId}/events` streams the events of Socket.IO, under the same names, as server-sent events. The id of a `messageBroadcast` is its time in milliseconds, that of a `state` the time of the newest message.',
    'To resume, send the last id as `Last-Event-ID` or `?lastEventId=`: every message that was stored after it comes first, once, then `state`, then the live events. `EventSource` does so automatically, but cannot send a token.',
    'While a reply is being streamed, `state` and `room_joined` have `partial`: its text so far, which replaces what a client has of that message, and the `index` of its last chunk. A chunk with the index 0 begins its message again.',
    'A reply has a stream of its own: `POST …/messages/stream` sends a message and streams `user_message`, a `chunk` for each part of the reply, then `done` or `error`. The reply is stored even if the client disconnects.'),
  copyable('JavaScript', streamExample));

/** Without a token, an EventSource, which cannot send one. */
function streamExample() {
  const url = `${location.origin}/api/messaging/sessions/${idFor('sessionId')}/events`;
  if (reader.needsToken) {
    return LANGUAGES.fetch({ method: 'GET', url, headers: [['Authorization', 'Bearer TOKEN'], ['Last-Event-ID', '0']], kind: 'stream' });
  }
  return `const events = new EventSource(${string(url)});
for (const name of ["state", "messageBroadcast", "messageStreamChunk", "sessionExpired"]) {
  events.addEventListener(name, ({ lastEventId, data }) => console.log(name, lastEventId, JSON.parse(data)));
}`;
}

function errors(description) {
  const all = description.errors();
  const rows = all.map(([status, { code: name, error, details = {} }]) => [
    [h('span', { class: 'status bad' }, status), ' ', code(name)], code(error.type), [error.message, ...Object.keys(details).flatMap((key) => [' ', code(key)])]]);
  return guide('errors', 'Errors',
    ...paragraphs('All errors have this form: `error.message` is for people, `code` and `details` are for programs.'),
    ...all.filter(([status]) => status === '410').slice(0, 1).map(([, value]) => sample(value, 'Example of an error')),
    table('Codes', ['Status and code', 'Type', 'Message and details'], rows));
}

export const guides = (description) => [sockets(description), streams(), errors(description)];
