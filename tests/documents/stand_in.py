"""Stands in for the servers behind agents: a model's, a webhook and an ElizaOS server."""

import hashlib
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The models that the documents name.
MODELS = ["gemma3:latest", "gpt-4o"]


def elizaos_id(name):
    """Returns the id that ElizaOS derives from the name of an agent."""
    digest = bytearray(hashlib.sha1(name.encode()).digest()[:16])
    digest[6] &= 0x0F
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


ADA = elizaos_id("Ada")
AGENTS = [{"id": ADA, "name": "Ada"}]

# An ElizaOS server's only conversation, newest message first.
MESSAGE_SERVER = "00000000-0000-0000-0000-000000000000"
CHANNEL = "93ec856a-aa46-43f0-990b-514c7e3e9ca1"
USER = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CHANNELS = [{"id": CHANNEL, "name": "Garden plans", "metadata": {}, "createdAt": "2026-11-30T08:29:24.763Z"}]
MESSAGES = [
    {"id": "4d045d26-f831-4603-a1fe-16bbff894ebb", "authorId": ADA, "content": "It is 42.", "metadata": {},
     "sourceType": "agent_response", "inReplyToRootMessageId": "6e31a761-2df2-476c-be15-864ea9dbb179",
     "createdAt": "2026-11-30T08:29:24.895Z"},
    {"id": "6e31a761-2df2-476c-be15-864ea9dbb179", "authorId": USER, "content": "Look it up.", "metadata": {},
     "sourceType": "client_chat", "inReplyToRootMessageId": None, "createdAt": "2026-11-30T08:29:24.855Z"},
]

CHUNK = {"choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers each path as the server that has it."""

    answers = {
        "/v1/models": {"object": "list", "data": [{"id": it, "object": "model"} for it in MODELS]},
        "/api/agents": {"success": True, "data": {"agents": AGENTS}},
        "/api/messaging/message-servers": {"success": True, "data": {"messageServers": [{"id": MESSAGE_SERVER}]}},
        f"/api/messaging/message-servers/{MESSAGE_SERVER}/channels": {
            "success": True, "data": {"channels": CHANNELS}},
        f"/api/messaging/channels/{CHANNEL}/participants": {"success": True, "data": [USER, ADA]},
        f"/api/messaging/channels/{CHANNEL}/messages": {"success": True, "data": {"messages": MESSAGES}},
        "/reply": {"text": "Hello."},
    }

    def do_GET(self):
        answer = self.answers.get(self.path.partition("?")[0])
        self.answer(200 if answer else 404, "application/json", json.dumps(answer or {"error": "no such path"}))

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/chat/completions":
            self.answer(200, "text/event-stream", f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n")
        else:
            self.do_GET()

    def answer(self, status, kind, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Prints nothing."""


class StandIn:
    """The server, for the time of a `with` block."""

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
