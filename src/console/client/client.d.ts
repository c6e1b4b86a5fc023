/**
 * A client of sessiond for browsers, node 20 and newer, bun and deno, without dependencies.
 *
 * A call that fails for the moment is repeated if that is safe: one that only reads, one that the
 * server has refused before it did anything (429, 503), and one with a key, by which the server
 * recognises a repeat. The client makes such keys itself.
 */

/** A time: a date, epoch milliseconds, or RFC 3339. */
export type Time = Date | number | string;

export type Metadata = Record<string, unknown>;

export interface ClientOptions {
  /** The address of the server, such as `https://chat.example`; in a page the default is its own. */
  baseUrl?: string | undefined;
  /** A token, or a function that returns one. */
  token?: Token;
  /** Further headers of each request. */
  headers?: Record<string, string> | undefined;
  /** How often a call is repeated at most (default 6, which takes some 10 s). */
  retries?: number | undefined;
  /** Used in the place of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
}

/**
 * A token, or a function that returns one. What the function returns is used until the server
 * responds with 401; then it is called once more with the token that was refused. It may return
 * nothing. If it throws, the call is repeated like one that did not reach the server; calls at the
 * same time share the failure. A token that cannot be sent, such as one with a line break, fails with
 * `UNAUTHORIZED` and the status 0.
 */
export type Token = string | undefined | ((refused?: string) => string | null | undefined | Promise<string | null | undefined>);

export interface CallOptions {
  /** Stops the call, which then throws the signal's reason. There is no time limit without `AbortSignal.timeout(…)`. */
  signal?: AbortSignal | undefined;
  /** How often this call is repeated at most. */
  retries?: number | undefined;
  /** Called before each repeat, with the error of the attempt before. */
  onRetry?: ((error: SessiondError) => void) | undefined;
}

export interface KeyedOptions extends CallOptions {
  /** The key by which the server recognises a repeat: 1–255 visible ASCII characters. By default it is random. */
  key?: string | undefined;
}

export interface RequestOptions extends KeyedOptions {
  /** Sent as JSON; strings, blobs and bytes are sent as they are. */
  body?: unknown;
  query?: Record<string, Time | boolean | null | undefined> | undefined;
  headers?: Record<string, string> | undefined;
  /** The type that the response must have. */
  accept?: string | undefined;
  /** Whether a call may be repeated when its outcome is unknown. By default: a GET, and one with a `key`. */
  idempotent?: boolean | undefined;
}

/** A failed call, or a reply that failed. `message` is for people. */
export class SessiondError extends Error {
  constructor(message: string, fields?: Partial<Omit<SessiondError, keyof Error>> & { cause?: unknown });
  readonly name: 'SessiondError';
  /** The HTTP status, or 0 if there was no response. */
  readonly status: number;
  /**
   * An error code of the API, such as `SESSION_NOT_FOUND`; `UNREACHABLE`, `TOKEN_UNAVAILABLE` or
   * `INVALID_RESPONSE` from this client; empty for the error of a proxy.
   */
  readonly code: string;
  /** Why a reply failed (such as `unavailable`), or what is wrong with a request. */
  readonly reason: string | undefined;
  /** Whether the same call with the same key is safe to repeat, and may succeed. */
  readonly retryable: boolean;
  /** What the server says about the error, such as `field` or `userMessage`. */
  readonly details: Record<string, any>;
  /** The server's id of the request, as in its log. */
  readonly requestId: string | undefined;
  /** How many seconds to wait before a repeat. */
  readonly retryAfter: number | undefined;
  /** The body of the response, if it was JSON. */
  readonly body: any;
}

export interface TimeoutConfig {
  timeoutMinutes: number;
  autoRenew: boolean;
  maxDurationMinutes: number;
  warningThresholdMinutes: number;
}

export interface Session {
  sessionId: string;
  channelId: string;
  agentId: string;
  userId: string;
  status: 'active' | 'expired';
  createdAt: string;
  lastActivity: string;
  expiresAt: string;
  timeoutConfig: TimeoutConfig;
  renewalCount: number;
  /** In milliseconds. */
  timeRemaining: number;
  isNearExpiration: boolean;
  metadata: Metadata;
  /** Until when an expired session is retained. */
  retainedUntil?: string;
  continuedFrom?: { sessionId: string; messageId: string | null; copied: number; complete: boolean };
  /** With `include: 'lastMessage'`. */
  lastMessage?: { content: string; isAgent: boolean; createdAt: string } | null;
}

export interface NewSession {
  agentId: string;
  userId: string;
  metadata?: Metadata | undefined;
  timeoutConfig?: Partial<TimeoutConfig> | undefined;
  /** Begins with a copy of another session's messages. */
  continueFrom?: { sessionId: string; upToMessageId?: string | undefined } | undefined;
}

export interface SessionQuery {
  limit?: number | undefined;
  cursor?: string | undefined;
  agentId?: string | undefined;
  userId?: string | undefined;
  status?: 'active' | 'expired' | 'all' | undefined;
  q?: string | undefined;
  include?: 'lastMessage' | undefined;
}

export interface SessionPage {
  sessions: Session[];
  /** Absent with `q`. */
  total?: number;
  stats: { totalSessions: number; activeSessions: number; expiredSessions: number };
  nextCursor?: string;
}

export interface Attachment {
  type: string;
  url: string;
  name?: string;
  [field: string]: unknown;
}

export interface AgentError {
  code: string;
  message: string;
  reason?: string;
}

export interface MessageMetadata extends Metadata {
  sessionId: string;
  thought?: string;
  actions?: string[];
  /** Of a user's message whose turn has failed. */
  agentError?: AgentError;
  model?: string;
  finishReason?: string;
  usage?: { inputTokens?: number; outputTokens?: number };
  truncated?: boolean;
  interrupted?: boolean;
}

/** A stored message. */
export interface Message {
  id: string;
  content: string;
  authorId: string;
  isAgent: boolean;
  createdAt: string;
  metadata: MessageMetadata;
  attachments?: Attachment[];
  inReplyTo?: string;
}

export interface MessageQuery {
  /** 1–100; 50 by default. */
  limit?: number | undefined;
  /** Both are exclusive. */
  before?: Time | undefined;
  after?: Time | undefined;
}

export interface MessagePage {
  /** Newest first. */
  messages: Message[];
  hasMore: boolean;
  cursors?: { before: number; after: number };
}

export interface NewMessage {
  content: string;
  metadata?: Metadata | undefined;
  attachments?: Attachment[] | undefined;
  /** The key of the message; by default it is random. */
  clientMessageId?: string | undefined;
}

export interface UserMessage {
  id: string;
  channelId: string;
  content: string;
  authorId: string;
  createdAt: string;
  metadata: MessageMetadata;
  attachments?: Attachment[];
  clientMessageId?: string;
}

export interface AgentResponse {
  id: string;
  text: string;
  thought?: string;
  actions?: string[];
  createdAt: string;
  inReplyTo: string;
  metadata: MessageMetadata;
  attachments?: Attachment[];
}

export interface SessionStatus {
  expiresAt: string;
  renewalCount: number;
  wasRenewed: boolean;
  isNearExpiration: boolean;
}

export interface Sent {
  userMessage: UserMessage;
  sessionStatus: SessionStatus;
}

/** What an agent does before and between its words. */
export interface Activity {
  messageId: string;
  agentId: string;
  channelId: string;
  kind: 'thinking' | 'tool' | 'status';
  name?: string;
  state?: 'started' | 'done' | 'failed';
  /** For `thinking` the next piece; otherwise it replaces the text of the same `kind` and `name`. */
  text?: string;
}

/** A part of a reply. */
export interface Chunk {
  /** The id of the coming reply. */
  messageId: string;
  chunk: string;
  /** From 0. A later 0 begins the text anew. */
  index: number;
  /** The whole text so far. */
  text: string;
}

interface EventOf<Type extends string, Data> {
  type: Type;
  data: Data;
  /** The time of a stored message in epoch milliseconds, by which `events` continues. */
  id: string | undefined;
}

/** The events of a reply. One that fails throws a `SessiondError`. */
export type ReplyEvent =
  | EventOf<'user_message', UserMessage & { sessionStatus: SessionStatus }>
  | EventOf<'activity', Activity>
  | EventOf<'chunk', Chunk>
  | EventOf<'done', AgentResponse>;

export interface Broadcast {
  id: string;
  senderId: string;
  senderName: string;
  text: string;
  channelId: string;
  roomId: string;
  sessionId: string;
  serverId: string;
  messageServerId: string;
  /** In epoch milliseconds. */
  createdAt: number;
  source: 'user' | 'socketio_client' | 'agent_response';
  metadata: MessageMetadata;
  thought?: string;
  actions?: string[];
  attachments?: Attachment[];
  inReplyTo?: string;
}

export interface State {
  expiresAt: string;
  renewalCount: number;
  isNearExpiration: boolean;
  /** Whether no reply is open. */
  inputEnabled: boolean;
  /** The reply that is in progress, which replaces what is shown of it. Without it, none is. */
  partial?: { messageId: string; text: string; index: number };
}

type RoomFields = { channelId: string; roomId: string };

/** The events of a session. */
export type SessionEvent =
  /** The first event of each connection. */
  | EventOf<'state', State>
  /** The connection was lost; the client continues by itself, and `state` follows. */
  | EventOf<'disconnected', { error: SessiondError }>
  /** A stored message. */
  | EventOf<'messageBroadcast', Broadcast>
  | EventOf<'messageStreamChunk', Chunk & { agentId: string; channelId: string }>
  | EventOf<'messageStreamError', { messageId: string; channelId: string; agentId: string; error: string; reason?: string; partialText?: string }>
  | EventOf<'messageActivity', Activity>
  | EventOf<'messageComplete', { channelId: string; sessionId: string }>
  | EventOf<'controlMessage', RoomFields & { action: 'disable_input' | 'enable_input' }>
  | EventOf<'sessionRenewed', { sessionId: string; expiresAt: string; renewalCount: number }>
  | EventOf<'sessionUpdated', { sessionId: string; metadata: Metadata }>
  | EventOf<'sessionExpirationWarning', { sessionId: string; minutesRemaining: number; expiresAt: string }>
  | EventOf<'sessionExpired', { sessionId: string; expiredAt: string }>
  | EventOf<'channelDeleted', RoomFields & { sessionId: string }>;

export interface EventsOptions {
  /** Begins with the stored messages after this: the `id` of an event, or the time of a message. */
  after?: Time | undefined;
  /** Ends the iteration. */
  signal?: AbortSignal | undefined;
}

export interface MessageSearch {
  query?: string | undefined;
  channelId?: string | undefined;
  authorId?: string | undefined;
  from?: string | number | undefined;
  to?: string | number | undefined;
  userId?: string | undefined;
  agentId?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface FoundMessage extends Message {
  channelId: string;
  sessionId: string;
  agentId: string;
  userId: string;
  updatedAt: string;
}

export interface SearchPage {
  messages: FoundMessage[];
  complete: boolean;
  nextCursor?: string;
}

/** A reply of an agent that runs elsewhere: with `content`, or with `error` instead. */
export interface Submission {
  channel_id: string;
  author_id: string;
  content?: string | undefined;
  error?: { message: string } | undefined;
  turnId?: string | undefined;
  in_reply_to_message_id?: string | undefined;
  messageId?: string | undefined;
  metadata?: Metadata | undefined;
  sessionMetadata?: Metadata | undefined;
  attachments?: Attachment[] | undefined;
  raw_message?: { thought?: string; actions?: string[] } | undefined;
}

export interface Agent {
  id: string;
  name: string;
  characterName: string;
  bio: string;
  status: string;
  enabled: boolean;
  createdAt: number;
  updatedAt: number;
}

/** An agent with what its file says about it. */
export interface AgentDetails extends Omit<Agent, 'bio'> {
  bio: string | string[];
  [field: string]: unknown;
}

export interface Health {
  status: 'healthy' | 'degraded' | 'unhealthy';
  activeSessions: number;
  timestamp: string;
  expiringSoon: number;
  invalidSessions?: number;
  uptime: number;
  reasons?: string[];
}

export interface Me {
  role: 'anonymous' | 'server' | 'user' | 'admin';
  /** Of a user. */
  userId?: string;
}

export class SessiondClient {
  constructor(options?: ClientOptions);

  /** Replaces the token. */
  set token(token: Token);

  /**
   * Makes any call of the API, and returns its JSON, or the response if it is something else. All
   * other calls go through this one, so that a subclass sees each error, such as a 401.
   */
  request(method: string, path: string, options?: RequestOptions): Promise<any>;

  createSession(body: NewSession, options?: KeyedOptions): Promise<Session>;
  getSession(id: string, options?: CallOptions): Promise<Session>;
  /** For administrators, and with their own `userId` for users. */
  listSessions(query?: SessionQuery, options?: CallOptions): Promise<SessionPage>;
  /** Changes the metadata by a JSON merge patch. */
  updateSession(id: string, body: { metadata: Metadata }, options?: CallOptions): Promise<Session>;
  updateTimeout(id: string, body: Partial<TimeoutConfig>, options?: CallOptions): Promise<Session>;
  deleteSession(id: string, options?: CallOptions): Promise<void>;
  /** Erases all sessions of a user, and returns how many there were. */
  deleteUserSessions(userId: string, options?: CallOptions): Promise<number>;
  renew(id: string, options?: CallOptions): Promise<Session>;
  heartbeat(id: string, options?: CallOptions): Promise<Session>;

  /** Sends a message, and waits for the reply. */
  send(id: string, body: NewMessage & { transport: 'http' }, options?: KeyedOptions): Promise<Sent & { agentResponse: AgentResponse }>;
  /** Sends a message. The reply comes with the events of the session. */
  send(id: string, body: NewMessage & { transport?: 'websocket' | undefined }, options?: KeyedOptions): Promise<Sent>;

  /**
   * Sends a message when the iteration begins, and yields the reply as it is written. After a lost
   * connection it joins the reply again, without text that was yielded before. Ending the iteration
   * does not end the reply; `cancel` does.
   */
  stream(id: string, body: NewMessage, options?: KeyedOptions): AsyncGenerator<ReplyEvent, void, undefined>;

  /**
   * Yields the events of a session, across lost connections and restarts of the server, each stored
   * message once. Ends when the session is deleted or has expired, or `signal` is aborted.
   */
  events(id: string, options?: EventsOptions): AsyncGenerator<SessionEvent, void, undefined>;

  messages(id: string, query?: MessageQuery, options?: CallOptions): Promise<MessagePage>;
  /** Like `messages`, also after the session has expired. For administrators and the session's user. */
  transcript(id: string, query?: MessageQuery, options?: CallOptions): Promise<MessagePage>;
  /** Stops the reply to a message, or all replies of a session. What was already said is stored, unless `keepPartial` is false. */
  cancel(id: string, body?: { messageId?: string | undefined; keepPartial?: boolean | undefined }, options?: CallOptions): Promise<{ cancelled: string[] }>;
  search(body?: MessageSearch, options?: CallOptions): Promise<SearchPage>;
  /** Submits the reply of an agent that runs elsewhere. */
  submit(body: Submission, options?: KeyedOptions): Promise<any>;
  agents(options?: CallOptions): Promise<Agent[]>;
  agent(id: string, options?: CallOptions): Promise<AgentDetails>;
  me(options?: CallOptions): Promise<Me>;
  /** The health of the server, also when it is unhealthy. */
  health(options?: CallOptions): Promise<Health>;
}
