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
  const sent = useRef(undefined);

  // Strict mode runs this twice; the first run is aborted before it can show anything.
  useEffect(() => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const show = (type, data) => signal.aborted || dispatch({ type, data });
    async function follow() {
      const { messages } = await client.messages(sessionId, { limit: 100 }, { signal });
      show('loaded', messages.toReversed());
      // Begins with what was stored since.
      const events = client.events(sessionId, { after: messages[0]?.createdAt ?? 0, signal });
      for await (const { type, data } of events) show(type, data);
      show('ended');
    }
    sent.current = undefined;
    dispatch({ type: 'reset' });
    if (sessionId) follow().catch((error) => show('failed', error));
    return () => leaving.abort();
  }, [client, sessionId]);

  const deliver = useCallback(async (message) => {
    sent.current = message;
    const fail = (data) => sent.current === message && dispatch({ type: 'failed', data });
    fail(null);
    try {
      await client.send(sessionId, message);
    } catch (error) {
      fail(error);
    }
  }, [client, sessionId]);

  // The key makes it safe to send a message again: it is stored once, and a reply that failed begins anew.
  const send = useCallback((content) => deliver({ content, clientMessageId: `${Date.now()}-${Math.random()}` }), [deliver]);
  const retry = useCallback(async () => sent.current && deliver(sent.current), [deliver]);
  const stop = useCallback(async () => {
    await client.cancel(sessionId).catch((error) => dispatch({ type: 'failed', data: error }));
  }, [client, sessionId]);
  return { ...state, send, retry, stop };
}
