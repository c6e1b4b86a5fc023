// A React hook that shows a session of sessiond as it happens, whichever client causes it.
//
//     const { messages, draft, isBusy, isConnected, hasEnded, error, send, retry, stop } = useSession(client, sessionId);
//
// `client` is a SessiondClient, made once, outside of the component or with `useMemo`.
import { useCallback, useEffect, useReducer, useRef } from 'react';

const INITIAL = { messages: [], draft: '', isBusy: false, isConnected: false, hasEnded: false, error: null };

/** Returns the state after an event. React may call this twice, so it changes nothing itself. */
function reduce(state, { type, data }) {
  switch (type) {
    case 'reset': return INITIAL;
    case 'loaded': return { ...state, messages: data };
    case 'failed': return { ...state, error: data };
    case 'ended': return { ...state, hasEnded: true, isBusy: false, draft: '' };
    // The first event of each connection: what it says replaces what was shown of the reply.
    case 'state': return { ...state, isConnected: true, isBusy: !data.inputEnabled, draft: data.partial?.text ?? '' };
    case 'disconnected': return { ...state, isConnected: false };
    case 'controlMessage': return { ...state, isBusy: data.action === 'disable_input' };
    case 'messageStreamChunk': return { ...state, draft: data.text };
    case 'messageStreamError': // Who stops a reply knows it.
      return { ...state, draft: '', error: data.reason === 'cancelled' ? state.error : { message: data.error, reason: data.reason } };
    case 'messageBroadcast': {
      const isAgent = data.source === 'agent_response';
      const message = { id: data.id, isAgent, content: data.text, createdAt: new Date(data.createdAt).toISOString(), metadata: data.metadata };
      return { ...state, messages: [...state.messages, message], draft: isAgent ? '' : state.draft };
    }
    default: return state;
  }
}

export function useSession(client, sessionId) {
  const [state, dispatch] = useReducer(reduce, INITIAL);
  // `waiting` are the messages that are not stored yet, in order, and `sent` is the latest one that was sent.
  const outbox = useRef({ waiting: [] });

  // Strict mode runs this twice; the first run is aborted before it can show anything.
  useEffect(() => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const show = (type, data) => signal.aborted || dispatch({ type, data });
    async function follow() {
      // Also waits for a server that cannot be reached yet; `isConnected` is false until then.
      const { messages } = await client.messages(sessionId, { limit: 100 }, { signal, retries: Infinity });
      show('loaded', messages.toReversed());
      // Begins with what was stored since.
      const events = client.events(sessionId, { after: messages[0]?.createdAt ?? 0, signal });
      for await (const { type, data } of events) show(type, data);
      show('ended');
    }
    outbox.current = { waiting: [] };
    dispatch({ type: 'reset' });
    if (sessionId) follow().catch((error) => show('failed', error));
    return () => leaving.abort();
  }, [client, sessionId]);

  // Sends what waits, one after the other. What failed, but may be sent again, waits for `retry` or the next `send`.
  const flush = useCallback(async (box) => {
    const fail = (data) => outbox.current === box && dispatch({ type: 'failed', data });
    fail(null);
    while (box.waiting.length) {
      [box.sent] = box.waiting;
      try {
        await client.send(sessionId, box.sent);
      } catch (error) {
        fail(error);
        if (error.retryable) return;
      }
      box.waiting.shift();
    }
  }, [client, sessionId]);
  const deliver = useCallback((message) => {
    const box = outbox.current;
    if (message) box.waiting.push(message);
    box.sending ??= flush(box).finally(() => (box.sending = undefined));
    return box.sending;
  }, [flush]);

  // The key makes it safe to send a message again: it is stored once, and a reply that failed begins anew.
  const send = useCallback((content) => deliver({ content, clientMessageId: `${Date.now()}-${Math.random()}` }), [deliver]);
  const retry = useCallback(() => {
    const { waiting, sent } = outbox.current;
    return deliver(waiting.length ? undefined : sent);
  }, [deliver]);
  const stop = useCallback(async () => {
    await client.cancel(sessionId).catch((error) => dispatch({ type: 'failed', data: error }));
  }, [client, sessionId]);
  return { ...state, send, retry, stop };
}
