//! `sessiond sessions`

mod api;
mod args;
mod text;

use std::collections::BTreeSet;
use std::pin::pin;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::api::Found;
pub(super) use self::args::SessionsArgs;
use self::args::{DeleteArgs, ListArgs, SearchArgs, SessionsAction, ShowArgs};
use self::text::AgentNames;
use super::agent_names::{agents, named};
use super::check::counted;
use super::connection::ServerConnection;
use super::hidden_input::Modes;
use super::output::{note, print, print_json};
use super::stopped_by_signal::StoppedBySignal;
use super::usage_error::UsageError;
use super::{confirm, server_choice};
use crate::clock::Clock;
use crate::domain::id::{UserId, parse_uuid};
use crate::process::signals;
use crate::settings::Config;

/// Lists, shows, searches or deletes sessions.
pub(super) fn run(config: &Config, args: &SessionsArgs) -> anyhow::Result<()> {
    check(&args.action)?;
    let modes = Modes::save();
    let runtime = Runtime::new()?;
    let ended = runtime.block_on(until_stopped(config, args));
    drop(modes);
    // A thread may still wait for input.
    runtime.shutdown_background();
    ended
}

/// Connects and acts, until a signal stops it.
async fn until_stopped(config: &Config, args: &SessionsArgs) -> anyhow::Result<()> {
    let mut stop = pin!(signals::stop_signal_number());
    let url = args.url.as_deref();
    let connection = tokio::select! {
        connected = server_choice::connect_to_stored(config, url) => connected?,
        number = &mut stop => return Err(StoppedBySignal::new(number).into()),
    };
    let ended = tokio::select! {
        ended = act(&connection, args) => ended,
        number = &mut stop => Err(StoppedBySignal::new(number).into()),
    };
    let closed = connection.close().await;
    ended.and(closed)
}

/// Checks the arguments, before anything is asked or started.
fn check(action: &SessionsAction) -> Result<(), UsageError> {
    match action {
        SessionsAction::Show(args) => session_id(&args.id),
        SessionsAction::Search(args) if args.text.trim().is_empty() => Err(UsageError(
            "TEXT is blank; `sessiond sessions list` lists sessions".to_owned(),
        )),
        SessionsAction::List(_) | SessionsAction::Search(_) => Ok(()),
        SessionsAction::Delete(args) => {
            args.ids.iter().try_for_each(|id| session_id(id))?;
            if !args.yes && !confirm::is_possible() {
                return Err(UsageError(
                    "there is no terminal to ask on; --yes deletes without asking. Nothing was \
                     deleted"
                        .to_owned(),
                ));
            }
            Ok(())
        }
    }
}

fn session_id(text: &str) -> Result<(), UsageError> {
    if parse_uuid(text).is_some() {
        return Ok(());
    }
    Err(UsageError(format!(
        "{text:?} is not a session id: expected a UUID; `sessiond sessions list` lists them"
    )))
}

async fn act(connection: &ServerConnection, args: &SessionsArgs) -> anyhow::Result<()> {
    match &args.action {
        SessionsAction::List(list) => self::list(connection, list, args.json).await,
        SessionsAction::Show(show) => self::show(connection, show, args.json).await,
        SessionsAction::Search(search) => self::search(connection, search, args.json).await,
        SessionsAction::Delete(delete) => self::delete(connection, delete, args.json).await,
    }
}

async fn list(connection: &ServerConnection, args: &ListArgs, is_json: bool) -> anyhow::Result<()> {
    let agent = agent_id(connection, args.agent.as_deref()).await?;
    let user = user(connection, args.user).await?;
    let mut parameters = vec![("status", args.status.as_str()), ("include", "lastMessage")];
    parameters.extend(agent.as_deref().map(|it| ("agentId", it)));
    parameters.extend(user.as_deref().map(|it| ("userId", it)));
    parameters.extend(args.query.as_deref().map(|it| ("q", it)));
    let found = api::list(connection, &parameters, args.limit).await?;
    if !print_found(&found, NO_SESSION, is_json)? {
        return Ok(());
    }
    let names = names(connection).await?;
    print(&text::list(&found.items, &names, Clock::system().now()))
}

async fn show(connection: &ServerConnection, args: &ShowArgs, is_json: bool) -> anyhow::Result<()> {
    let session = find(connection, &args.id).await?;
    let messages = api::last_messages(connection, &args.id, args.messages).await?;
    if is_json {
        return print_json(&json!({ "session": session, "messages": messages }));
    }
    let names = names(connection).await?;
    let now = Clock::system().now();
    print(&text::session(&session, &messages, &names, now))
}

async fn search(
    connection: &ServerConnection,
    args: &SearchArgs,
    is_json: bool,
) -> anyhow::Result<()> {
    let agent = agent_id(connection, args.agent.as_deref()).await?;
    let mut query = json!({ "query": args.text });
    if let Some(agent) = agent {
        query["agentId"] = json!(agent);
    }
    if let Some(user) = args.user {
        query["userId"] = json!(user);
    }
    let found = api::search(connection, &query, args.limit).await?;
    if !print_found(&found, NO_MESSAGE, is_json)? {
        return Ok(());
    }
    let names = names(connection).await?;
    print(&text::found(&found.items, &args.text, &names))
}

const NO_SESSION: &str = "no session matches; --status all includes those that have expired";

const NO_MESSAGE: &str = "no message matches";

/// Prints what was found if it is to be JSON, and notes what is missing. Returns whether the caller must
/// print it for people.
fn print_found(found: &Found, if_none: &str, is_json: bool) -> anyhow::Result<bool> {
    if found.has_more {
        note(&format!(
            "there are more than these {}; see --limit",
            found.items.len()
        ));
    }
    if is_json {
        print_json(&found.items)?;
    } else if found.items.is_empty() {
        note(if_none);
    }
    Ok(!is_json && !found.items.is_empty())
}

async fn delete(
    connection: &ServerConnection,
    args: &DeleteArgs,
    is_json: bool,
) -> anyhow::Result<()> {
    let deleted = match args.user {
        Some(user) => {
            let question = format!("Delete all sessions of the user {user}, active and expired?");
            confirm(args, question).await?;
            api::erase(connection, user).await?
        }
        None => delete_each(connection, args).await?,
    };
    if is_json {
        return print_json(&json!({ "deleted": deleted }));
    }
    print(&format!("deleted {}", counted(deleted, "session")))
}

/// Deletes the sessions if all of them exist. Returns their number.
async fn delete_each(connection: &ServerConnection, args: &DeleteArgs) -> anyhow::Result<u64> {
    let ids: BTreeSet<_> = args.ids.iter().map(|id| id.to_lowercase()).collect();
    let mut sessions = Vec::new();
    for id in &ids {
        let found = find(connection, id).await;
        sessions.push(found.context("nothing was deleted")?);
    }
    if !args.yes {
        let names = names(connection).await?;
        let shown = text::list(&sessions, &names, Clock::system().now());
        let these = counted(ids.len() as u64, "session");
        confirm(args, format!("{shown}\nDelete {these} and the messages?")).await?;
    }
    let mut deleted = 0;
    for id in &ids {
        let done = api::delete(connection, id).await;
        done.with_context(|| format!("{id} was not deleted; {deleted} others were"))?;
        deleted += 1;
    }
    Ok(deleted)
}

/// Returns an error unless the person on the terminal agrees.
async fn confirm(args: &DeleteArgs, question: String) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    let asking = tokio::task::spawn_blocking(move || confirm::ask(&question));
    if asking.await?? {
        return Ok(());
    }
    bail!("nothing was deleted")
}

async fn find(connection: &ServerConnection, id: &str) -> anyhow::Result<Value> {
    let session = api::find(connection, &id.to_lowercase()).await?;
    session.with_context(|| {
        format!("there is no session {id}; it never existed, or it was deleted or removed")
    })
}

/// Returns the id of the agent with a name or an id.
async fn agent_id(
    connection: &ServerConnection,
    name: Option<&str>,
) -> anyhow::Result<Option<String>> {
    match name {
        None => Ok(None),
        // An agent that is not there any more may have sessions.
        Some(id) if parse_uuid(id).is_some() => Ok(Some(id.to_owned())),
        Some(name) => {
            let agents = agents(connection).await?;
            named(&agents, name).map(|agent| Some(agent.id.clone()))
        }
    }
}

/// Returns the user whose sessions are listed: a client with a user's token may only list its own.
async fn user(
    connection: &ServerConnection,
    given: Option<UserId>,
) -> anyhow::Result<Option<String>> {
    match given {
        Some(user) => Ok(Some(user.to_string())),
        None => connection.user().await,
    }
}

async fn names(connection: &ServerConnection) -> anyhow::Result<AgentNames> {
    let agents = agents(connection).await?;
    Ok(agents
        .into_iter()
        .map(|agent| (agent.id, agent.name))
        .collect())
}
