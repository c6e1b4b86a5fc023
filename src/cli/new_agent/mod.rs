//! `sessiond agents new`

mod backend;
mod choice;

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use self::backend::Chosen;
use super::commands::{BackendName, NewAgentArgs};
use super::data_dir::{create_partial, give_to_owner_of};
use super::output::print;
use super::server_client::runtime;
use super::usage_error::UsageError;
use crate::agents::new_agent::{NewAgent, file_name, file_of_name};
use crate::agents::registry::BackendContext;
use crate::clock::Clock;
use crate::process::atomic_file;
use crate::server::{create_agents_dir, create_data_dir};
use crate::settings::Config;
use crate::store::error::OpenError;
use crate::transport::local_socket;

/// The time limit for connecting to a running server.
const SOCKET_PATIENCE: Duration = Duration::from_secs(1);

/// Writes the character file of a new agent, after the server behind it was asked what it offers.
pub(super) fn run(config: &Config, args: &NewAgentArgs) -> anyhow::Result<()> {
    backend::check(args)?;
    let file = file_name(&args.name)
        .map_err(|reason| UsageError(format!("invalid NAME {:?}: {reason}", args.name)))?;
    let directory = config.storage.agents_dir();
    let path = directory.join(file);
    refuse_existing(&args.name, &path, &directory)?;
    let runtime = runtime()?;
    let context = BackendContext::new(config.environment.clone())?;
    let choosing = backend::choose(args, &config.environment, &context);
    let Chosen {
        fields,
        key_variable,
    } = runtime.block_on(choosing)?;
    let new = NewAgent::new(&args.name, fields, &path, Clock::system().now(), &context)?;
    write(config, &path, &new.text)?;
    report(&new, &path)?;
    if args.backend == BackendName::External {
        print(&how_it_works(&new))?;
    }
    print(&next_steps(config, key_variable.as_deref(), &runtime))
}

/// Refuses a name that an agent has already.
fn refuse_existing(name: &str, path: &Path, directory: &Path) -> anyhow::Result<()> {
    if path.symlink_metadata().is_ok() {
        bail!(
            "{} already exists and was not changed; choose another name, or change the file",
            path.display()
        );
    }
    if let Some(other) = file_of_name(name, directory)? {
        bail!(
            "{} already defines the agent {:?}; choose another name, or change the file",
            other.display(),
            name.trim()
        );
    }
    Ok(())
}

/// Writes a new file whole or not at all, for the user that owns the data.
fn write(config: &Config, path: &Path, text: &str) -> anyhow::Result<()> {
    let data_dir = &config.storage.data_dir;
    let directory = config.storage.agents_dir();
    let failed = |error| {
        let failed = anyhow::Error::new(OpenError::Io(error));
        failed.context(format!("{} was not written", path.display()))
    };
    if !directory.is_dir() {
        create_data_dir(data_dir)?;
        create_agents_dir(&directory).map_err(failed)?;
        give_to_owner_of(data_dir, &directory);
    }
    let mut file = create_partial(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    give_to_owner_of(&directory, file.path());
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path)
        .map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => {
                anyhow::anyhow!("{} already exists and was not changed", path.display())
            }
            _ => failed(error.error),
        })?;
    atomic_file::sync_parent_dir(path).with_context(|| path.display().to_string())
}

/// Prints the agent that the file defines.
fn report(new: &NewAgent, path: &Path) -> anyhow::Result<()> {
    let (character, backend) = (&new.agent.character, &new.agent.backend);
    let answers = match (backend.model(), backend.address()) {
        (Some(model), Some(address)) => format!("{model} at {address}"),
        (None, Some(address)) => format!("{} at {address}", backend.kind()),
        (_, None) => backend.kind().to_owned(),
    };
    print(&format!(
        "wrote {}\nagent {}, id {}, answered by {answers}",
        path.display(),
        character.name,
        character.id
    ))
}

/// Returns how an agent that runs elsewhere finds its work.
fn how_it_works(new: &NewAgent) -> String {
    let id = new.agent.character.id;
    format!(
        "its work: the turns that wait for it, at GET /api/agents/{id}/events\n\
         its replies: POST /api/messaging/submit with the author_id {id}\n\
         complete agents in Python and Node: data/examples"
    )
}

/// Returns the steps after which a server uses the new file.
fn next_steps(config: &Config, key_variable: Option<&str>, runtime: &Runtime) -> String {
    let running = runtime.block_on(server_process(&config.storage.database()));
    let load = match running {
        Some(Some(process)) => format!("`kill -HUP {process}` has the running server read it"),
        Some(None) => "send the running server a SIGHUP, and it reads the file".to_owned(),
        None => {
            "start the server with `sessiond`; a running server reads the file on SIGHUP".to_owned()
        }
    };
    let mut steps = vec![load];
    if let Some(variable) = key_variable {
        // Without the variable, a SIGHUP would not reload any agent.
        let needed = "the server must be started with it, in its environment or its .env file";
        steps.insert(0, format!("set {variable}: {needed}"));
    }
    steps.push("`sessiond agents --probe` asks each agent a short question".to_owned());
    format!("next: {}", steps.join("\n      "))
}

/// Returns the process of the server that holds a database: `Some(None)` if there is a server whose
/// process is not known.
async fn server_process(database: &Path) -> Option<Option<i32>> {
    let socket: PathBuf = local_socket::path(database);
    let connecting = UnixStream::connect(socket);
    let connected = tokio::time::timeout(SOCKET_PATIENCE, connecting)
        .await
        .ok()?;
    match connected {
        Ok(stream) => Some(stream.peer_cred().ok().and_then(|peer| peer.pid())),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(None),
        Err(_) => None,
    }
}
