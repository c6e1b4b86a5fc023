import { AbstractChat } from 'ai-7';

import { testWith } from './chat-transport.mjs';

testWith(AbstractChat);
