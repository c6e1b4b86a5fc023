//! The client library in the npm package, as a project installs it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::support::node::{self, run};
use super::support::server::Server;
use super::{VERSION, packages, source};

const LIMIT: Duration = Duration::from_mins(2);

/// Uses the transport with the types of the npm package `ai`, and makes one mistake.
const TRANSPORT: &str = "
import type { ChatTransport, UIMessage } from 'ai';
import { SessiondClient } from 'sessiond/client';
import { SessiondChatTransport } from 'sessiond/chat-transport';

const client = new SessiondClient({ baseUrl: 'http://127.0.0.1:3000' });
export const transport: ChatTransport<UIMessage> = new SessiondChatTransport({ client });
// @ts-expect-error
client.events('id', { since: 1 });
";

const CHAT: &str = "
import { SessiondClient, SessiondError } from 'sessiond/client';
import { SessiondChatTransport, toUIMessages } from 'sessiond/chat-transport';

const client = new SessiondClient({ baseUrl: process.env.SESSIOND_URL });
const [agent] = await client.agents();
const { sessionId } = await client.createSession({ agentId: agent.id, userId: crypto.randomUUID() });
const transport = new SessiondChatTransport({ client });
const messages = [{ id: 'first', role: 'user', parts: [{ type: 'text', text: 'Hello!' }] }];
const chunks = await transport.sendMessages({ trigger: 'submit-message', chatId: sessionId, messages });
for await (const { type } of chunks) console.log(type);
console.log(toUIMessages((await client.messages(sessionId)).messages).map(({ role }) => role));
const error = await client.getSession('none').catch((error) => error);
console.log(error instanceof SessiondError, error.code);
";

#[test]
fn the_npm_package_has_the_client_library_with_its_types() {
    let Some(packages) = packages() else { return };
    let project = match node::prepare("clients/library") {
        Ok(project) => project,
        Err(reason) => return node::skip(&reason),
    };
    let path = project.path();
    // The binary is in another package.
    let install = ["install", "--offline", "--no-save", "--omit=optional"];
    let mut npm = Command::new("npm");
    npm.args(install).args(["--no-audit", "--no-fund"]);
    npm.arg(packages.join(format!("sessiond-{VERSION}.tgz")));
    run(npm.current_dir(path), LIMIT).expect("npm installs the package");

    let usage = fs::read_to_string(source("tests/clients/library/usage.ts")).expect("a program");
    assert!(usage.contains("'./client.js'"), "{usage}");
    let usage = usage.replace("'./client.js'", "'sessiond/client'");
    write(path, "usage.ts", &usage);
    write(path, "transport.ts", TRANSPORT);
    for resolution in [
        ["--module", "NodeNext", "--moduleResolution", "NodeNext"],
        ["--module", "ESNext", "--moduleResolution", "Bundler"],
    ] {
        let mut compiler = Command::new("node");
        compiler.args(["node_modules/typescript/bin/tsc", "--noEmit", "--strict"]);
        compiler.args([
            "--target",
            "ES2023",
            "--lib",
            "ES2023,DOM,DOM.AsyncIterable",
        ]);
        // The declarations of `ai` need types of other packages.
        compiler.args(resolution).arg("--skipLibCheck");
        compiler.args(["usage.ts", "transport.ts"]);
        run(compiler.current_dir(path), LIMIT).expect("the types are right");
    }

    let server = Server::start();
    write(path, "chat.mjs", CHAT);
    let mut chat = Command::new("node");
    chat.arg("chat.mjs").env("SESSIOND_URL", server.url());
    let printed = run(chat.current_dir(path), LIMIT).expect("the chat works");
    for expected in [
        "start\n",
        "finish\n[ 'user', 'assistant' ]\ntrue SESSION_NOT_FOUND\n",
    ] {
        assert!(printed.contains(expected), "{printed}");
    }
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).expect("a file can be written");
}
