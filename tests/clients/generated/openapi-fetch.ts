// The types of openapi-typescript, used with openapi-fetch.

import createClient from 'openapi-fetch';
import type { components, paths } from './typed';

declare const process: { env: Record<string, string> };

const client = createClient<paths>({ baseUrl: process.env.SESSIOND_URL });

/** Returns the data of an answer, or throws the API's error. */
function data<T>(answer: { data?: T; error?: components['schemas']['ApiError'] }): T {
  if (answer.data === undefined) throw new Error(answer.error?.error.message);
  return answer.data;
}

async function talk() {
  const session = data(await client.POST('/api/messaging/sessions', {
    body: { agentId: process.env.SESSIOND_AGENT, userId: process.env.SESSIOND_USER },
  }));
  const params = { path: { sessionId: session.sessionId } };

  const sent = data(await client.POST('/api/messaging/sessions/{sessionId}/messages', {
    params,
    body: { content: 'Hello.', transport: 'http' },
  }));
  const reply: string | undefined = sent.agentResponse?.text;

  const page = data(await client.GET('/api/messaging/sessions/{sessionId}/messages', { params }));
  const history = page.messages.map(({ content, isAgent }) => ({ content, isAgent }));
  console.log(JSON.stringify({ reply, history }));
}

talk();
