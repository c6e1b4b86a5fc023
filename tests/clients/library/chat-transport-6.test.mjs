import { AbstractChat } from 'ai';

import { testWith } from './chat-transport.mjs';

testWith(AbstractChat);
