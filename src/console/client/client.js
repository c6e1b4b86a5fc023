// A client of sessiond for browsers, node, bun and deno. `client.d.ts` describes it.

const API = '/api/messaging';
const SESSIONS = `${API}/sessions`;
const JSON_TYPE = 'application/json';
const EVENT_STREAM = 'text/event-stream';

/** Milliseconds between attempts: the first pause, doubled each time, and the longest. */
const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 5000;

/** A call that is asked to wait for longer fails instead, with `retryAfter`. In milliseconds. */
const LONGEST_WAIT = 10_000;

/** The server sends a comment every 15 s. After this silence a stream counts as lost. */
const SILENCE = 40_000;

/** What `setTimeout` takes at most. */
const LONGEST_TIMER = 2 ** 31 - 1;

const RETRIES = 6;

/** Shorter than each pause: calls share the failure of the token function for this long. In milliseconds. */
const SHARED = 100;

/** The status of a failure that a stream reports after its own status. */
const STATUS_OF = {
  AGENT_ERROR: 502, AGENT_TIMEOUT: 504, SERVICE_UNAVAILABLE: 503,
  SESSION_EXPIRED: 410, SESSION_NOT_FOUND: 404, TURN_CANCELLED: 409,
};

/** Reasons for which another attempt of the agent would fail, too. */
const LASTING = ['refused', 'too_long', 'misconfigured', 'cancelled', 'expired'];

export class SessiondError extends Error {
  constructor(message, { status = 0, code, details, cause, ...rest } = {}) {
    super(message, cause && { cause });
    Object.assign(this, {
      name: 'SessiondError', status, code: code ?? '', details: details ?? {},
      reason: details?.reason, retryable: false, requestId: undefined, retryAfter: undefined, body: undefined, ...rest,
    });
  }
}

export class SessiondClient {
  #base;
  #fetch;
  #headers;
  #retries;
  #token;
  /** What the token function returned last. */
  #asked;

  constructor({ baseUrl = '', token, headers = {}, retries = RETRIES, fetch } = {}) {
    try {
      new URL(baseUrl || '/', globalThis.location?.href);
    } catch {
      throw new TypeError(`baseUrl is "${baseUrl}"; expected the address of a server, such as http://127.0.0.1:3000`);
    }
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#fetch = fetch;
    this.#headers = headers;
    this.#retries = retries;
    this.token = token;
  }

  set token(token) {
    this.#token = token;
    this.#asked = undefined;
  }

  async request(method, path, options = {}) {
    const { retries = this.#retries, signal, onRetry } = options;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#attempt(method, path, options);
      } catch (error) {
        if (attempt >= retries || !isRepeated(error)) throw error;
        onRetry?.(error);
        await pause(attempt, error, signal);
      }
    }
  }

  createSession(body, options) {
    return this.#json('POST', SESSIONS, { ...options, key: options?.key ?? newKey(), body });
  }

  getSession(id, options) {
    return this.#json('GET', session(id), options);
  }

  listSessions(query, options) {
    return this.#json('GET', SESSIONS, { ...options, query });
  }

  updateSession(id, body, options) {
    return this.#json('PATCH', session(id), { ...options, body });
  }

  updateTimeout(id, body, options) {
    return this.#json('PATCH', `${session(id)}/timeout`, { ...options, body });
  }

  async deleteSession(id, options) {
    let isRepeat = false;
    const onRetry = (error) => {
      isRepeat = true;
      options?.onRetry?.(error);
    };
    try {
      await this.#json('DELETE', session(id), { idempotent: true, ...options, onRetry });
    } catch (error) {
      // The attempt that was lost has deleted it.
      if (!isRepeat || error.code !== 'SESSION_NOT_FOUND') throw error;
    }
  }

  async deleteUserSessions(userId, options) {
    const { deleted } = await this.#json('DELETE', SESSIONS, { idempotent: true, ...options, query: { userId } });
    return deleted;
  }

  renew(id, options) {
    return this.#json('POST', `${session(id)}/renew`, options);
  }

  heartbeat(id, options) {
    return this.#json('POST', `${session(id)}/heartbeat`, { idempotent: true, ...options });
  }

  async send(id, body, options) {
    if (body.transport === 'sse' || body.mode === 'stream') throw new TypeError('use stream() for the transport sse');
    return this.#json('POST', `${session(id)}/messages`, { idempotent: true, ...options, body: keyed(body, options) });
  }

  /** Sends a message, and yields the events of its reply. After a lost connection it joins the reply again. */
  async *stream(id, body, options = {}) {
    const { signal, retries = this.#retries, onRetry } = options;
    const call = { ...options, idempotent: true, body: keyed(body, options) };
    const reply = new Reply();
    let sent;
    for (let attempt = 0; ; attempt += 1) {
      try {
        if (sent) await this.#assertNotFailed(id, sent, signal);
        reply.connect();
        for await (const event of this.#read('POST', `${session(id)}/messages/stream`, call)) {
          const { type, data } = event;
          if (type === 'error') throw turnError(data.code, data.error, data.reason, { userMessage: sent });
          if (type === 'user_message') {
            if (sent) continue;
            sent = data;
          }
          const shown = type === 'chunk' ? reply.add(data) : type === 'done' ? reply.end() : undefined;
          if (type === 'chunk' && !shown) continue;
          attempt = 0;
          if (shown) yield { type: 'chunk', data: shown, id: undefined };
          if (type !== 'chunk') yield event;
          if (type === 'done') return;
        }
        throw lost(true);
      } catch (error) {
        if (attempt >= retries || !(isRepeated(error) || (sent && isForeign(error)))) throw error;
        onRetry?.(error);
        await pause(attempt, error, signal);
      }
    }
  }

  /** Yields the events of a session, until it ends or `signal` is aborted. */
  async *events(id, { after, signal } = {}) {
    const texts = new Map();
    let last = after === undefined ? undefined : eventId(after);
    let isConnected = false;
    let isExpired = false;
    for (let attempt = 0; !signal?.aborted; attempt += 1) {
      let error;
      try {
        const headers = last === undefined ? {} : { 'Last-Event-ID': last };
        for await (const event of this.#read('GET', `${session(id)}/events`, { headers, signal })) {
          attempt = 0;
          isConnected = true;
          last = event.id ?? last;
          isExpired ||= event.type === 'sessionExpired';
          follow(texts, event);
          yield event;
          if (event.type === 'channelDeleted') return;
        }
        error = lost(true);
      } catch (failure) {
        error = failure;
      }
      if (isExpired || signal?.aborted) return;
      if (!isTransient(error) && !(isConnected && isForeign(error))) throw error;
      yield { type: 'disconnected', data: { error }, id: undefined };
      await pause(attempt, error, signal, Infinity).catch(() => {});
    }
  }

  messages(id, query, options) {
    return this.#json('GET', `${session(id)}/messages`, { ...options, query });
  }

  transcript(id, query, options) {
    return this.#json('GET', `${API}/channels/${encodeURIComponent(id)}/messages`, { ...options, query });
  }

  cancel(id, body, options) {
    return this.#json('POST', `${session(id)}/cancel`, { ...options, body });
  }

  search(body = {}, options) {
    return this.#json('POST', `${API}/messages/search`, { idempotent: true, ...options, body });
  }

  async submit(body, options) {
    const key = options?.key ?? body.messageId ?? newKey();
    return (await this.#json('POST', `${API}/submit`, { ...options, key, body })).data;
  }

  async agents(options) {
    return (await this.#json('GET', '/api/agents', options)).data.agents;
  }

  async agent(id, options) {
    return (await this.#json('GET', `/api/agents/${encodeURIComponent(id)}`, options)).data;
  }

  me(options) {
    return this.#json('GET', '/api/auth/me', options);
  }

  async health(options) {
    try {
      return await this.#json('GET', `${SESSIONS}/health`, { ...options, retries: options?.retries ?? 0 });
    } catch (error) {
      // An unhealthy server reports its health as an error.
      if (error.status === 503 && error.body?.status) return error.body;
      throw error;
    }
  }

  #json(method, path, options) {
    return this.request(method, path, { ...options, accept: JSON_TYPE });
  }

  /** Sends one request. With a token function, a second one follows a 401. */
  async #attempt(method, path, options) {
    const { body, key, signal, accept } = options;
    const isSafe = options.idempotent ?? (key !== undefined || method === 'GET' || method === 'HEAD');
    const headers = new Headers({ Accept: accept ?? '*/*', ...this.#headers, ...options.headers });
    if (key !== undefined) headers.set('Idempotency-Key', key);
    const isRaw = body === undefined || typeof body === 'string' || body instanceof Blob || ArrayBuffer.isView(body);
    if (!isRaw) headers.set('Content-Type', JSON_TYPE);
    const init = { method, headers, signal, body: isRaw ? body : JSON.stringify(body) };
    const url = this.#base + path + search(options.query);

    let bearer = await unlessAborted(() => this.#bearer(), signal);
    let response = await this.#send(url, init, bearer, isSafe);
    if (response.status === 401 && typeof this.#token === 'function') {
      const refused = bearer;
      bearer = await unlessAborted(() => this.#bearer(refused), signal);
      if (bearer && bearer !== refused) {
        response.body?.cancel().catch(() => {});
        response = await this.#send(url, init, bearer, isSafe);
      }
    }
    const type = response.headers.get('content-type') ?? '';
    const isJson = type.startsWith(JSON_TYPE);
    const isExpected = response.ok && (!accept || type.startsWith(accept));
    if (isExpected && !isJson) return response;

    let content;
    try {
      content = await response.text();
    } catch (cause) {
      signal?.throwIfAborted();
      if (response.ok) throw lost(isSafe, cause);
      // What the server says is lost, but its status is known.
    }
    const answer = isJson ? parse(content) : undefined;
    if (!response.ok) throw refusal(response, answer, isSafe);
    if (!isExpected || answer === undefined) throw unexpected(response, url);
    return answer;
  }

  async #send(url, init, bearer, isSafe) {
    try {
      if (bearer) init.headers.set('Authorization', `Bearer ${bearer}`);
    } catch {
      this.#asked = undefined;
      // The cause would show the token.
      throw new SessiondError('The token has characters that are not allowed in a header', { code: 'UNAUTHORIZED' });
    }
    try {
      return await (this.#fetch ?? globalThis.fetch)(url, init);
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw lost(isSafe, cause);
    }
  }

  /** Returns the token, asking for another one if it is the one that was refused. */
  async #bearer(refused) {
    if (typeof this.#token !== 'function') return this.#token;
    const asked = this.#asked;
    if (asked && (refused === undefined || (await asked) !== refused)) return asked;
    // Calls that fail at the same time ask once.
    if (this.#asked === asked) {
      const asking = this.#ask(refused);
      const forget = () => {
        if (this.#asked === asking) this.#asked = undefined;
      };
      asking.catch(() => setTimeout(forget, SHARED));
      this.#asked = asking;
    }
    return this.#asked ?? this.#bearer();
  }

  async #ask(refused) {
    try {
      return (await this.#token(refused)) ?? '';
    } catch (cause) {
      const message = `The token function failed: ${cause?.message ?? cause}`;
      throw new SessiondError(message, { code: 'TOKEN_UNAVAILABLE', retryable: true, cause });
    }
  }

  /** Yields the events of one connection. */
  async *#read(method, path, options) {
    const { signal } = options;
    const connection = new AbortController();
    let reader;
    const close = () => {
      connection.abort();
      // In deno, an abort does not end every read that is waiting.
      reader?.cancel().catch(() => {});
    };
    signal?.throwIfAborted();
    signal?.addEventListener('abort', close, { once: true });
    const timed = (promise) => {
      const timer = setTimeout(close, SILENCE);
      return promise.finally(() => clearTimeout(timer));
    };
    try {
      const call = { ...options, accept: EVENT_STREAM, retries: 0, signal: connection.signal };
      reader = (await timed(this.request(method, path, call))).body.getReader();
      const decoder = new TextDecoder();
      let text = '';
      for (;;) {
        const { done, value } = await timed(reader.read());
        signal?.throwIfAborted();
        if (done) return;
        text += decoder.decode(value, { stream: true });
        for (let end; (end = /\r?\n\r?\n/.exec(text)); text = text.slice(end.index + end[0].length)) {
          const event = eventOf(text.slice(0, end.index));
          if (event) yield event;
          signal?.throwIfAborted();
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof SessiondError ? error : lost(true, error);
    } finally {
      signal?.removeEventListener('abort', close);
      close();
    }
  }

  /** Throws if a message's turn has failed: a repeat would open it again, also after it was cancelled. */
  async #assertNotFailed(id, userMessage, signal) {
    const query = { after: Date.parse(userMessage.createdAt) - 1, limit: 1 };
    let page;
    try {
      page = await this.messages(id, query, { signal, retries: 0 });
    } catch (error) {
      // In an expired session no turn is opened, but a reply may be there.
      if (error.status === 410) return;
      throw error;
    }
    const failure = page.messages[0]?.metadata.agentError;
    if (failure) throw turnError(failure.code, failure.message, failure.reason, { userMessage });
  }
}

/** The text of a reply, which is joined from the chunks of several connections. */
class Reply {
  #id;
  #text = '';
  #index = 0;
  /** The text of this connection, until it has caught up with what was received before. */
  #repeated;

  connect() {
    if (this.#id) this.#repeated = '';
  }

  /** Returns what is new in a chunk, if anything. */
  add({ messageId, chunk }) {
    if (messageId !== this.#id) {
      this.#id = messageId;
      return this.#restart(chunk);
    }
    if (this.#repeated === undefined) return this.#append(chunk);
    this.#repeated += chunk;
    if (this.#repeated.startsWith(this.#text)) {
      const rest = this.#repeated.slice(this.#text.length);
      this.#repeated = undefined;
      return rest ? this.#append(rest) : undefined;
    }
    // After a restart of the server the agent has begun anew, and says something else.
    return this.#text.startsWith(this.#repeated) ? undefined : this.#restart(this.#repeated);
  }

  /** Returns what replaces the text if the reply has ended before it caught up. */
  end() {
    return this.#repeated === undefined ? undefined : this.#restart(this.#repeated);
  }

  #restart(text) {
    this.#text = '';
    this.#index = 0;
    this.#repeated = undefined;
    return this.#append(text);
  }

  #append(chunk) {
    this.#text += chunk;
    const index = this.#index;
    this.#index += 1;
    return { messageId: this.#id, chunk, index, text: this.#text };
  }
}

/** Adds to each chunk the text of its reply so far. */
function follow(texts, { type, data }) {
  if (type === 'state') {
    texts.clear();
    if (data.partial) texts.set(data.partial.messageId, data.partial.text);
  } else if (type === 'messageStreamChunk') {
    data.text = (data.index === 0 ? '' : (texts.get(data.messageId) ?? '')) + data.chunk;
    texts.set(data.messageId, data.text);
  } else if (type === 'messageBroadcast' || type === 'messageStreamError') {
    texts.delete(data.id ?? data.messageId);
  }
}

function eventOf(block) {
  const event = { type: 'message', data: undefined, id: undefined };
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    // JSON may contain U+2028 and U+2029, which are line ends to a `.` without the flag.
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === 'event') event.type = value;
    else if (field === 'id') event.id = value;
    else if (field === 'data') data.push(value);
  }
  if (!data.length) return undefined;
  event.data = JSON.parse(data.join('\n'));
  return event;
}

/** Returns the error of a response. */
function refusal(response, answer, isSafe) {
  const { status, headers } = response;
  const { message, details: explanation } = answer?.error ?? {};
  const error = new SessiondError(explanation || message || `The server responded with status ${status}`, {
    status, code: answer?.code, details: answer?.details, body: answer,
    requestId: headers.get('x-request-id') ?? undefined, retryAfter: secondsOf(headers.get('retry-after')),
  });
  error.retryable = isRefused(error) || (isSafe && (isTransient(error) || isAgentFailure(error)));
  return error;
}

/** Returns the error of a turn that ended without a reply. */
function turnError(code, message, reason, details) {
  const error = new SessiondError(message, { status: STATUS_OF[code] ?? 500, code, details: { ...details, reason } });
  error.retryable = isTransient(error) || isAgentFailure(error);
  return error;
}

const lost = (retryable, cause) =>
  new SessiondError('The server cannot be reached, or the connection was lost', { code: 'UNREACHABLE', retryable, cause });

const unexpected = ({ status, headers }, url) =>
  new SessiondError(`The response of ${url} has the type "${headers.get('content-type') ?? ''}". Is it a sessiond server?`, {
    status, code: 'INVALID_RESPONSE',
  });

/** Whether the server has refused a call before it did anything. */
const isRefused = ({ status, code, details }) =>
  status === 429 || (status === 503 && code === 'SERVICE_UNAVAILABLE' && !details.userMessage);

/** Whether the next attempt may succeed by itself. A 5xx without a code is a proxy's. */
const isTransient = ({ status, code, details }) =>
  code === 'UNREACHABLE' || code === 'TOKEN_UNAVAILABLE' || status === 429 || status === 503 || details?.outcome === 'unknown' ||
  (!code && status >= 500);

const isAgentFailure = ({ code, reason }) => (code === 'AGENT_ERROR' || code === 'AGENT_TIMEOUT') && !LASTING.includes(reason);

/** Whether a call is repeated by itself. A failed reply is not: the agent would reply again. */
const isRepeated = (error) => error instanceof SessiondError && error.retryable && !isAgentFailure(error);

/** Whether something other than the server has responded, such as a proxy with a page of its own. */
const isForeign = (error) => error?.code === 'INVALID_RESPONSE';

/** How much shorter the pauses after an error are. Calls that share an error are repeated together. */
const jitters = new WeakMap();

/** Waits before the next attempt. Throws `error` if the server wants to be left alone for longer. */
async function pause(attempt, error, signal, longest = LONGEST_WAIT) {
  const jitter = jitters.get(error) ?? 0.5 + Math.random() / 2;
  jitters.set(error, jitter);
  const growing = Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE) * jitter;
  const time = Math.max(growing, (error.retryAfter ?? 0) * 1000);
  if (time > longest) throw error;
  signal?.throwIfAborted();
  await new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, Math.min(time, LONGEST_TIMER));
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Waits for a promise until `signal` is aborted. Others may still wait for it. */
async function unlessAborted(start, signal) {
  signal?.throwIfAborted();
  const promise = start();
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function secondsOf(value) {
  if (!value) return undefined;
  const seconds = Number(value);
  return Number.isNaN(seconds) ? Math.max(0, (Date.parse(value) - Date.now()) / 1000) : seconds;
}

function parse(content) {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

/** Gives a message a key, by which the server recognises a repeat. */
const keyed = (body, options) => ({ ...body, clientMessageId: options?.key ?? body.clientMessageId ?? newKey() });

/** Unlike `crypto.randomUUID`, it works on pages that were not loaded over HTTPS. */
const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

const session = (id) => `${SESSIONS}/${encodeURIComponent(id)}`;

/** Returns the id of the events at a time, which may be such an id. */
const eventId = (time) => (/^\d+$/.test(time) ? String(time) : String(new Date(time).getTime()));

const text = (value) => (value instanceof Date ? value.toISOString() : String(value));

function search(query = {}) {
  const present = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return present.length ? `?${new URLSearchParams(present.map(([name, value]) => [name, text(value)]))}` : '';
}
