/**
 * A `ChatTransport` of the Vercel AI SDK (npm package `ai`, versions 6 and 7) over a `SessiondClient`.
 *
 * Conversations of sessiond only grow. `sendMessage` sends the last message; the server has the ones
 * before. `regenerate` opens a reply that has failed again; where there is a reply, it continues the
 * conversation up to the reply before, in a new session, which is then the chat's. So does sending
 * an edited message. `stop` ends the reply, and what was already said is stored as the reply.
 */

import type { ChatTransport, UIMessage } from 'ai';
import type { Message, Session, SessiondClient } from './client.js';

export interface SessiondChatTransportOptions {
  client: SessiondClient;
  /** Returns the id of the session of a chat, once for each chat. By default the chat's id is the session's. */
  session?: ((chatId: string) => string | Promise<string>) | undefined;
  /** Called when a chat is continued in a new session. */
  onSession?: ((chatId: string, session: Session) => void | Promise<void>) | undefined;
}

/**
 * Errors are those of the client: `SessiondError` in `chat.error`.
 *
 * `thinking` becomes reasoning; other activity is a transient data part, `data-activity`. The
 * message's metadata is that of the reply with its `createdAt`. If the agent has begun its reply
 * anew after a restart of the server, the text before is a part of its own with
 * `providerMetadata.sessiond.superseded`.
 */
export class SessiondChatTransport<M extends UIMessage = UIMessage> implements ChatTransport<M> {
  constructor(options: SessiondChatTransportOptions);
  sendMessages: ChatTransport<M>['sendMessages'];
  reconnectToStream: ChatTransport<M>['reconnectToStream'];
}

/** Returns the messages of a page, which are newest first, as UI messages, oldest first. */
export function toUIMessages<M extends UIMessage = UIMessage>(messages: Message[]): M[];
