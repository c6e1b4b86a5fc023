//! `sessiond chat`

mod conversation;
mod events;
mod follow;
mod input;
mod reply;
mod screen;
mod sessions;
mod stops;
mod terminal;

use std::env;
use std::io::{self, IsTerminal as _};

use anyhow::bail;
use tokio::runtime::Runtime;

use self::conversation::Conversation;
use self::input::Input;
use self::screen::Screen;
use self::stops::{Stopped, Stops};
use super::agent_names::{self, NamedAgent};
use super::commands::ChatArgs;
use super::connection::ServerConnection;
use super::hidden_input::Modes;
use super::server_choice::connect_elsewhere;
use crate::domain::derived_id::derive_uuid;
use crate::domain::id::parse_uuid;
use crate::settings::Config;

/// Talks to an agent until the input ends.
pub(super) fn run(config: &Config, args: &ChatArgs) -> anyhow::Result<()> {
    let modes = Modes::save();
    let runtime = Runtime::new()?;
    let ended = runtime.block_on(chat(config, args));
    drop(modes);
    // A thread may still wait for input.
    runtime.shutdown_background();
    // A person who ends a chat with Ctrl-C knows that.
    let is_person = io::stdin().is_terminal();
    ended.or_else(|error| {
        if is_person && error.is::<Stopped>() {
            Ok(())
        } else {
            Err(error)
        }
    })
}

async fn chat(config: &Config, args: &ChatArgs) -> anyhow::Result<()> {
    let mut stops = Stops::new();
    let connecting = connect(config, args);
    let connection = stops.interrupting(connecting).await?;
    let ended = talk(config, args, &connection, stops).await;
    let closed = connection.close().await;
    ended.and(closed)
}

async fn connect(config: &Config, args: &ChatArgs) -> anyhow::Result<ServerConnection> {
    match &args.url {
        Some(url) => connect_elsewhere(config, url).await,
        None => ServerConnection::open(config, "chat", true).await,
    }
}

async fn talk(
    config: &Config,
    args: &ChatArgs,
    connection: &ServerConnection,
    mut stops: Stops,
) -> anyhow::Result<()> {
    let preparing = prepare(args, connection);
    let (agents, agent, user) = stops.interrupting(preparing).await?;
    let screen = Screen::new();
    let input = Input::new(screen.is_interactive())?;
    let mut conversation = Conversation::new(connection, screen, stops, agents, agent, user);
    if connection.is_embedded() {
        let data = config.storage.data_dir.display();
        conversation.note(&format!(
            "No server holds {data}: this chat does until it ends."
        ))?;
    }
    if let Some(session) = &args.session {
        conversation.resume(session).await?;
    }
    conversation.run(&input).await
}

/// Returns the agents, the one to talk to, and the id of the user.
async fn prepare(
    args: &ChatArgs,
    connection: &ServerConnection,
) -> anyhow::Result<(Vec<NamedAgent>, NamedAgent, String)> {
    if let Some(session) = &args.session
        && parse_uuid(session).is_none()
    {
        bail!(
            "invalid --session {session:?}: expected the id of a session, a UUID; `/sessions` in a \
             chat lists yours"
        );
    }
    let agents = agent_names::agents(connection).await?;
    let agent = match &args.agent {
        Some(name) => agent_names::named(&agents, name)?,
        None => sessions::default_agent(connection, &agents).await?,
    };
    let agent = agent.clone();
    let user = match &args.user {
        Some(user) => user_id(user),
        None => connection
            .user()
            .await?
            .unwrap_or_else(|| user_id(&login_name())),
    };
    Ok((agents, agent, user))
}

/// Returns the id of a user: a UUID as it is, or the one that `ElizaOS` derives from another text.
fn user_id(text: &str) -> String {
    let text = text.trim();
    parse_uuid(text)
        .unwrap_or_else(|| derive_uuid(text))
        .to_string()
}

/// Returns the login name, or the number of the user without one.
fn login_name() -> String {
    let names = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|it| env::var(it).ok());
    let name = names.into_iter().find(|name| !name.trim().is_empty());
    name.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_uuid_or_a_text_from_which_it_is_derived() {
        let id = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
        assert_eq!(user_id(&id.to_uppercase()), id);
        assert_eq!(
            user_id(" ada@example.com "),
            "a8bb4cce-bc75-0e53-96b9-2032deb9317b"
        );
    }
}
