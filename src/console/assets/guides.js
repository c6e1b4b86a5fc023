// Beside the operations: Socket.IO, streams and errors.

import { h } from './dom.js';
import { idFor, reader, whenReaderChanges } from './reader.js';
import { code, copyable, errorsOf, eventList, eventsOf, prose, sample, statusOf, table } from './reference.js';

const string = JSON.stringify;
const session = () => string(idFor('sessionId'));

/** A guide, which the contents and the filter find like an operation. */
function guide(id, name, ...content) {
  const element = h('section', { class: 'guide', id, tabindex: '-1', 'aria-label': name }, h('h2', {}, name), ...content);
  return { element, name, text: element.textContent.toLowerCase() };
}

const paragraph = (text, link) => h('p', { class: 'lead' }, link, ...prose(text));
const linkTo = ({ operationId, summary }) => h('a', { href: `#${operationId}` }, summary);

/** An example that follows the reader. */
function example(text) {
  const shown = sample('', 'JavaScript');
  whenReaderChanges(() => {
    shown.textContent = text();
  });
  return copyable(h('h3', {}, 'JavaScript'), shown);
}

const socketExample = () => `import { io } from "socket.io-client";

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
});`;

const SENT = [
  ['Connecting', '', '`connection_established` `{ message, socketId }`.'],
  ['`join`', '`{ roomId }`', '`channel_joined` and `room_joined` `{ message, channelId, roomId, sessionId, … }`, with the fields of `state`. The room of a session has its `sessionId` as its name.'],
  ['`message`', '`{ type: 2, payload: { channelId, senderId, message, messageId } }`', '`messageAck` `{ clientMessageId, messageId, status, channelId, roomId }` once the message is stored. `messageId` is its idempotency key.'],
  ['`message`', '`{ type: 1, payload: { channelId } }`', 'As for `join`.'],
  ['`leave`', '`{ roomId }`', 'None.'],
];

const streamExample = () => `const events = new EventSource(${string(`${location.origin}/api/messaging/sessions/${idFor('sessionId')}/events`)});
events.addEventListener("messageBroadcast", ({ lastEventId, data }) => console.log(lastEventId, JSON.parse(data)));`;

function errors(operations) {
  const rows = errorsOf(operations).map(([status, { code: name, error, details = {} }]) => [
    [statusOf(status), ' ', code(name)], error.type, error.message, Object.keys(details).join(', ')]);
  return guide('errors', 'Errors', table('Codes', ['Status and code', 'Type', 'Message', 'Details'], rows));
}

export function guides(operations) {
  const named = (id) => operations.find(({ operationId }) => operationId === id);
  const stream = named('getSessionEvents');
  return [
    guide('socketio', 'Socket.IO events',
      paragraph('For clients of version 4, over WebSocket or long polling. A failure is answered with `messageError` `{ error }`. Callbacks receive the answers too.'),
      example(socketExample),
      table('Events of the client', ['Event', 'Payload', 'Answer'], SENT.map((cells) => cells.map(prose))),
      h('h3', {}, 'Events of a session'), h('div', { class: 'card list' }, ...eventList(eventsOf(stream).slice(1)))),
    guide('streams', 'Streams',
      paragraph(': these events as server-sent events. `EventSource` resumes by itself, but cannot send a token.', linkTo(stream)),
      paragraph(': one reply. In both, a chunk with the index 0 begins its message again.', linkTo(named('streamSessionMessage'))),
      example(streamExample)),
    errors(operations),
  ];
}
