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
use std::io::ErrorKind;
use std::path;

use tokio::runtime::Runtime;

use self::conversation::Conversation;
use self::input::Input;
use self::screen::Screen;
use self::stops::Stops;
use super::agent_names::{self, NamedAgent};
use super::commands::ChatArgs;
use super::connection::ServerConnection;
use super::data_dir;
use super::hidden_input::Modes;
use super::server_choice::connect_elsewhere;
use super::server_client::find_server;
use super::stopped_by_signal::StoppedBySignal;
use super::usage_error::UsageError;
use crate::agents::registry::{BackendContext, Registry};
use crate::app::{EffectiveSetting, SettingSource};
use crate::clock::Clock;
use crate::domain::derived_id::derive_uuid;
use crate::domain::id::parse_uuid;
use crate::settings::Config;

/// Talks to an agent until the input ends.
pub(super) fn run(config: &Config, args: &ChatArgs) -> anyhow::Result<()> {
    check_session(args.session.as_deref())?;
    let modes = Modes::save();
    let runtime = Runtime::new()?;
    let ended = runtime.block_on(chat(config, args));
    drop(modes);
    // A thread may still wait for input.
    runtime.shutdown_background();
    ended.inspect_err(|error| {
        if error.is::<StoppedBySignal>() {
            screen::leave();
        }
    })
}

/// Checks the id of the session, before anything is asked or started.
fn check_session(session: Option<&str>) -> Result<(), UsageError> {
    match session.filter(|session| parse_uuid(session).is_none()) {
        None => Ok(()),
        Some(session) => Err(UsageError(format!(
            "invalid --session {session:?}: expected the id of a session, a UUID; `/sessions` in a \
             chat lists yours"
        ))),
    }
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
    let Some(url) = &args.url else {
        require_data(config, args)?;
        return ServerConnection::for_chat(config).await;
    };
    connect_elsewhere(config, url).await
}

/// Returns an error if a server within this process, which would create the data, could not have
/// the session or the agent.
fn require_data(config: &Config, args: &ChatArgs) -> anyhow::Result<()> {
    let database = config.storage.database();
    if database.exists() || find_server(&database)? {
        return Ok(());
    }
    if args.session.is_some() {
        return Err(data_dir::io_error(ErrorKind::NotFound.into(), &database));
    }
    if let Some(name) = &args.agent {
        let context = BackendContext::new(config.environment.clone())?;
        let now = Clock::system().now();
        let agents = Registry::load(&config.storage.agents_dir(), now, &context)?;
        let agents = agents.iter().map(|agent| NamedAgent {
            id: agent.character.id.to_string(),
            name: agent.character.name.clone(),
        });
        agent_names::named(&agents.collect::<Vec<_>>(), name)?;
    }
    Ok(())
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
    let place = place(config, args);
    let mut conversation = Conversation::new(connection, screen, stops, agents, agent, user, place);
    if connection.is_embedded().await {
        // A relative path does not show the working directory.
        let data = path::absolute(&config.storage.data_dir)?;
        conversation.report(&format!(
            "no server runs on {}: this chat serves it until it ends",
            data.display()
        ))?;
    }
    if let Some(session) = &args.session {
        conversation.resume(session).await?;
    }
    conversation.run(&input).await
}

/// Returns the arguments that lead to the same server.
fn place(config: &Config, args: &ChatArgs) -> String {
    if let Some(url) = &args.url {
        return format!(" --url {}", quoted(url));
    }
    let is_given = |setting: &&EffectiveSetting| {
        setting.name == "DATA_DIR" && setting.source == SettingSource::Flag
    };
    let given = config.settings.iter().find(is_given);
    let given = given.and_then(|setting| setting.value.as_deref());
    given.map_or_else(String::new, |given| {
        format!(" --data-dir {}", quoted(given))
    })
}

/// Quotes an argument for a shell if it needs that.
fn quoted(argument: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:%@+=".contains(it);
    if argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// Returns the agents, the one to talk to, and the id of the user.
async fn prepare(
    args: &ChatArgs,
    connection: &ServerConnection,
) -> anyhow::Result<(Vec<NamedAgent>, NamedAgent, String)> {
    let agents = agent_names::agents(connection).await?;
    let agent = match &args.agent {
        Some(name) => agent_names::named(&agents, name)?,
        None => sessions::default_agent(connection, &agents).await?,
    };
    let agent = agent.clone();
    let user = match args.user {
        Some(user) => user.to_string(),
        None => match connection.user().await? {
            Some(user) => user,
            None => derive_uuid(login_name().trim()).to_string(),
        },
    };
    Ok((agents, agent, user))
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
    fn an_argument_is_quoted_for_a_shell_if_it_needs_that() {
        assert_eq!(quoted("https://h:1/a"), "https://h:1/a");
        assert_eq!(quoted("my data's"), r"'my data'\''s'");
    }
}
