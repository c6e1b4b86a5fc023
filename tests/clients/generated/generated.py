"""A Python client that openapi-python-client generates from the running server's OpenAPI document:
without a relevant warning, and it sends a message and reads its reply.
SESSIOND_URL names the server."""

import os
import re
import subprocess
import sys

URL = os.environ["SESSIOND_URL"]
USER = os.environ["SESSIOND_USER"]
AGENT = "b850bc30-45f8-0041-a00a-83df46d8555d"

# Answers of these types are not JSON: the generator skips them with a warning.
OTHER_CONTENT = (
    "application/octet-stream",
    "application/x-ndjson",
    "text/event-stream",
    "text/plain",
)

with open("config.yml", "w", encoding="utf-8") as config:
    config.write("post_hooks: []\n")

generated = subprocess.run(
    [sys.executable, "-m", "openapi_python_client", "generate"]
    + ["--url", f"{URL}/openapi.json", "--config", "config.yml"]
    + ["--meta", "none", "--output-path", "generated_client"],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    check=False,
)
output = generated.stdout
assert generated.returncode == 0, output
warnings = re.findall(r"^(?:WARNING|ERROR)\b.*|^Unable to.*", output, re.MULTILINE)
content = re.findall(r"Unsupported content[_ ]type \{?'?([^\s;,')]+)", output)
assert set(content) <= set(OTHER_CONTENT), output
assert len(warnings) == len(content), output

sys.path.insert(0, os.getcwd())
from generated_client import Client
from generated_client.api.messages import get_session_messages, send_session_message
from generated_client.api.sessions import create_session
from generated_client.models import (
    CreateSessionRequest,
    MessageList,
    SendMessageRequest,
    SentMessage,
    SessionInfo,
    Transport,
)

with Client(base_url=URL) as client:
    new = CreateSessionRequest(agent_id=AGENT, user_id=USER)
    session = create_session.sync(client=client, body=new)
    assert isinstance(session, SessionInfo), session

    message = SendMessageRequest(content="Hello.", transport=Transport.HTTP)
    sent = send_session_message.sync(session.session_id, client=client, body=message)
    assert isinstance(sent, SentMessage), sent
    reply = sent.agent_response.text
    assert reply.strip(), sent

    page = get_session_messages.sync(session.session_id, client=client)
    assert isinstance(page, MessageList), page
    history = [(message.content, message.is_agent) for message in page.messages]
    assert history == [(reply, True), ("Hello.", False)], history
print("talked")
