"""The real values of what the commands of each document have as examples. They are replaced in this
order, and name the values of `server.py`."""

import re

SERVER = {"127.0.0.1:3000": "{server}"}
MODEL = {"http://127.0.0.1:11434": "{stand_in}", "https://api.openai.com/v1": "{stand_in}/v1"}
AGENT = {"c6f7c0b1-…": "{agent}"}
TOKENS = {"JWT_SECRET=…": "JWT_SECRET=what-signs-the-tokens-of-the-examples", "localhost:8001": "{other_server}"}

SUBSTITUTIONS = {
    "README.md": {
        **SERVER,
        **MODEL,
        "01a1fba1-0cf4-72b1-b1f0-1027f3da31c5": "{session}",
    },
    "CONTRIBUTING.md": SERVER,
    "docs/agents.md": {
        **SERVER,
        **MODEL,
        **AGENT,
        "http://127.0.0.1:8080": "{stand_in}",
        "http://127.0.0.1:3001": "{stand_in}",
        "01a1fba1-0cf4-72b1-b1f0-1027f3da31c5": "{waiting_session}",
        "01a1fba1-…": "{turn}",
    },
    "docs/api.md": {
        # The server that the `.env` file of the commands before belongs to.
        "127.0.0.1:3000/api/auth/me": "{other_server}/api/auth/me",
        **SERVER,
        "01a22975-bed0-7e0a-bbd9-809bc914a859": "{session}",
        "01a2293a83e4780c886527a73147e973000001a2293a8b1b430c814166389339": "{cursor}",
        # The sections after it still use the session.
        "?userId=3c90c3cc-0d44-4b50-8888-8dd25736052a": "?userId={other_user}",
    },
    "docs/benchmarks.md": {**SERVER, "--token …": "--token secret", "--agent …": "--agent id"},
    "docs/frontend.md": {**SERVER, **TOKENS, "https://chat.example": "http://{server}"},
    "docs/operations.md": {
        "/backups/": "{root}/backups/",
        "http://127.0.0.1:3001": "{stand_in}",
        "userId=ID": "userId={other_user}",
        "--user ID": "--user {other_user}",
        "01a1fba1-0cf4-72b1-b1f0-1027f3da31c5": "{session}",
    },
    "docs/realtime.md": {**SERVER, "$SESSION_ID": "{session}"},
    "data/examples/README.md": {**AGENT, "JWT_SECRET=…": TOKENS["JWT_SECRET=…"]},
}

# What must not be left: a placeholder, and an address where a server of someone else may listen. The
# port of a container is not one.
LEFT = re.compile(r"…|(?:127\.0\.0\.1|localhost):(?:3000|3001|8001|8080|11434)(?!:3000)")
