// The client of @hey-api/openapi-ts: a function for each operation.

import { createSession, getSessionMessages, sendSessionMessage, streamSessionMessage } from './hey';
import { createClient } from './hey/client';

declare const process: { env: Record<string, string> };

const client = createClient({ baseUrl: process.env.SESSIOND_URL });

async function talk() {
  const { data: session } = await createSession({
    client,
    throwOnError: true,
    body: { agentId: process.env.SESSIOND_AGENT, userId: process.env.SESSIOND_USER },
  });
  const path = { sessionId: session.sessionId };

  const { data: sent } = await sendSessionMessage({
    client,
    throwOnError: true,
    path,
    body: { content: 'Hello.', transport: 'http' },
  });
  const reply: string | undefined = sent.agentResponse?.text;

  const events: string[] = [];
  const { stream } = await streamSessionMessage({
    client,
    path,
    body: { content: 'And by stream?' },
    onSseEvent: ({ event }) => events.push(event ?? ''),
    sseMaxRetryAttempts: 1,
  });
  for await (const event of stream) void event;

  const { data: page } = await getSessionMessages({ client, throwOnError: true, path });
  const history = page.messages.map(({ content, isAgent }) => ({ content, isAgent }));
  console.log(JSON.stringify({ reply, events, history }));
}

talk();
