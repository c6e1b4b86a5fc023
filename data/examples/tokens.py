"""The part of an app's back end that mints the tokens with which its pages call sessiond.

    JWT_SECRET=<the server's> APP_USER=<who is signed in> [APP_ORIGIN=...] [TOKEN_SECONDS=...] [PORT=...] python3 tokens.py

A page fetches `POST /token`. Python 3.9 or later, no packages.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("JWT_SECRET", "").encode()
ORIGIN = os.environ.get("APP_ORIGIN", "http://localhost:8000")
LONGEST = 600  # Who steals a token has it for ten minutes at most.
SECONDS = os.environ.get("TOKEN_SECONDS") or str(LONGEST)
LIFETIME = min(int(SECONDS), LONGEST) if SECONDS.isdecimal() else 0


def signed_in_user(headers):
    """Your sign-in goes here. Returns the id of the user to whom the request's cookie belongs, or None.

    Never take it from the request's address or body: everyone could be everyone. For development,
    all who open the page are one user.
    """
    return os.environ.get("APP_USER")


def mint(user):
    now = int(time.time())
    # A server with JWT_ISSUER or JWT_AUDIENCE also requires `iss` or `aud`.
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": user, "iat": now, "exp": now + LIFETIME}]
    message = b".".join(base64url(json.dumps(part).encode()) for part in parts)
    return message + b"." + base64url(hmac.digest(SECRET, message, hashlib.sha256))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        if self.path != "/token":
            return 404, b"not found"
        # A browser names the origin of a page with each POST, and no page can forge it.
        if self.headers["Origin"] != ORIGIN:
            return 403, b"not a page of this app"
        if self.command == "OPTIONS":
            return 204, b""
        if self.command != "POST":
            return 405, b"expected POST"
        user = signed_in_user(self.headers)
        return (200, mint(user)) if user else (401, b"not signed in")

    def respond(self):
        status, text = self.answer()
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", ORIGIN)
        self.send_header("Access-Control-Allow-Credentials", "true")  # Your sign-in's cookie.
        self.send_header("Access-Control-Allow-Headers", "authorization, content-type")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "text/plain")
        self.send_header("Vary", "Origin")
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_OPTIONS = respond

    def log_message(self, *_):
        """Logs nothing."""


if __name__ == "__main__":
    if len(SECRET) < 32:
        sys.exit("JWT_SECRET must be that of the server, at least 32 bytes")
    if not LIFETIME:
        sys.exit(f'TOKEN_SECONDS is "{SECONDS}"; expected a number from 1 to {LONGEST}')
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8001"))), Handler)
    print(f"tokens for pages of {ORIGIN}: http://localhost:{server.server_port}/token", flush=True)
    server.serve_forever()
