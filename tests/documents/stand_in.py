"""Stands in for the servers behind agents: a model's, a webhook and an ElizaOS server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The models that the documents name.
MODELS = ["gemma3:latest", "gpt-4o"]
AGENTS = [{"id": "5f1c7b3e-8b1a-4d53-9f6e-2f5d3f0f8a11", "name": "Ada"}]

CHUNK = {"choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    """Answers each path as the server that has it."""

    answers = {
        "/v1/models": {"object": "list", "data": [{"id": it, "object": "model"} for it in MODELS]},
        "/api/agents": {"success": True, "data": {"agents": AGENTS}},
        "/reply": {"text": "Hello."},
    }

    def do_GET(self):
        answer = self.answers.get(self.path)
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
