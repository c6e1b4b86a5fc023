//! The commands, their arguments and their help.

#![allow(
    clippy::doc_markdown,
    reason = "the documentation of an argument is its text in `--help`"
)]

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::jwt::lifetime;
use super::sessions::SessionsArgs;
use super::user_id::user_id;
use crate::domain::id::UserId;

/// The style of headings.
pub(super) const HEADER: Style = AnsiColor::Green.on_default().bold();

const STYLES: Styles = Styles::styled()
    .header(HEADER)
    .literal(AnsiColor::Cyan.on_default().bold());

/// The command line without the settings.
#[derive(Debug, Parser)]
#[command(name = "sessiond", version, styles = STYLES, after_help = AFTER_HELP)]
#[command(about = format!("{SUMMARY}\n\n{USE}"))]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<CliCommand>,
}

/// What the program is.
pub(super) const SUMMARY: &str = "A self-hosted, durable server of the ElizaOS Sessions API";

const USE: &str = "\
Without a command it serves: start it, and open http://127.0.0.1:3000 in a browser. No setting is
required for that.";

const AFTER_HELP: &str = "\
Each setting is a flag, an environment variable, or a line of a .env file in the working
directory, in this order of precedence. RUST_LOG sets the log filter.

To serve other machines:
  echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env
  sessiond --host 0.0.0.0

Exit codes:
  0  done
  1  failed, or a setting is invalid
  2  invalid command line";

/// A command.
#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Serve the API; the same as no command
    #[command(after_help = "Example:\n  sessiond serve --port 8080 --data-dir /var/lib/sessiond")]
    Serve,

    /// Talk to an agent from the terminal
    ///
    /// It talks through the running server, or through one within this command if none runs. On a
    /// terminal `/help` lists the commands of a chat. Through a pipe each line is a message and
    /// each reply is printed as text; the exit code is 1 if a message gets no reply.
    #[command(after_help = "Example:\n  sessiond chat --agent Eliza")]
    Chat(ChatArgs),

    /// List, show, search or delete sessions
    #[command(after_help = "\
Examples:
  sessiond sessions list --query garden
  sessiond sessions list --url https://sessions.example

Without a running server and --url, they are those in the data directory.")]
    Sessions(SessionsArgs),

    /// List the agents and their models; `agents new` connects one
    #[command(after_help = "Example:\n  sessiond agents --probe")]
    Agents {
        /// Ask each agent one short question, and print the time until the first piece of its answer;
        /// the exit code is 1 if one does not answer
        #[arg(long)]
        probe: bool,

        /// Print a JSON array of id, name, backend, model, address, ok, firstChunkMs, reason and cause
        #[arg(long)]
        json: bool,

        #[command(subcommand)]
        action: Option<AgentsAction>,
    },

    /// Print the settings in effect, and where each of them was set
    #[command(after_help = "\
Examples:
  sessiond settings
  sessiond settings --json --port 8080

Those that are set come first. Of a secret, only whether it is set is shown.")]
    Settings {
        /// Print the JSON of GET /api/admin/settings: settings, an array of name, value, source (flag,
        /// environment, file or default) and default
        #[arg(long)]
        json: bool,
    },

    /// Check whether the running server is ready
    #[command(after_help = "\
Example:
  sessiond healthcheck --port 8080

The exit code is 0 if the server is healthy or degraded.")]
    Healthcheck {
        /// Only check whether its process answers, whatever the state of the disk
        #[arg(long)]
        live: bool,

        /// Print a JSON object of ok, address, status and, if it is not ok, cause
        #[arg(long)]
        json: bool,
    },

    /// Print a new random token
    #[command(
        after_help = "Example:\n  echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env"
    )]
    Token,

    /// Print a JSON Web Token of a user, signed with JWT_SECRET
    #[command(after_help = "\
Examples:
  sessiond jwt ada
  TOKEN=$(sessiond jwt ada --expires 15m)

The token has the first of JWT_ISSUER and of JWT_AUDIENCE, if they are set.")]
    Jwt {
        /// The user, the sub of the token: a UUID, or another name, from which JWT_SUBJECT derives one
        #[arg(value_name = "USER")]
        user: String,

        /// How long it is valid: a number followed by s, m, h or d, up to 365d
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
        expires: Duration,
    },

    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  source <(sessiond completions bash)")]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },

    /// Write the manual pages, one per command, to an existing directory
    #[command(after_help = "Example:\n  sessiond man /usr/local/share/man/man1")]
    Man {
        /// The directory
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },

    /// Check every page, record and index row of the database
    #[command(after_help = "\
Example:
  sessiond check --data-dir /var/lib/sessiond

It prints a line for each fault, and then exits with 1.")]
    Check {
        /// Print a JSON object of database, sessions, sound, faults (texts) and damaged (records in
        /// quarantine: sessionId, record, reason and foundAt)
        #[arg(long)]
        json: bool,
    },

    /// Reduce the database file to its smallest size
    #[command(after_help = "Example:\n  sessiond compact --data-dir /var/lib/sessiond")]
    Compact {
        /// Print a JSON object of database, bytesBefore and bytesAfter
        #[arg(long)]
        json: bool,
    },

    /// Write a checked copy of the database to a new file
    #[command(after_help = "Example:\n  sessiond backup /backups/sessiond.redb")]
    Backup {
        /// The new file; an existing file is not replaced
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },

    /// Replace the database with a backup
    #[command(after_help = "Example:\n  sessiond restore --force /backups/sessiond.redb")]
    Restore {
        /// The backup, a file from `sessiond backup`
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Replace an existing database
        #[arg(long)]
        force: bool,
    },

    /// Print sessions as JSON Lines, also while a server is running
    #[command(after_help = "Example:\n  sessiond export > sessions.jsonl")]
    Export {
        /// Only this session
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Only the sessions of this user, a UUID or a name, as in `sessiond chat`
        #[arg(long, value_name = "USER", conflicts_with = "session", value_parser = user_id)]
        user: Option<UserId>,
    },

    /// Create a database from exported lines, add them to one, or move in from ElizaOS
    ///
    /// All lines are imported, or none. The server must be stopped; a running one imports lines
    /// with POST /api/admin/import, and receives the sessions of --from-elizaos while it serves.
    #[command(after_help = "\
Examples:
  sessiond import --merge sessions.jsonl
  sessiond import --from-elizaos http://127.0.0.1:3001")]
    Import {
        /// The lines, as printed by `sessiond export`; by default standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,

        /// Add the sessions to a database that contains others
        ///
        /// Their ids must be new to it, and all values within the bounds of the API.
        #[arg(long)]
        merge: bool,

        /// Import from a running ElizaOS server (1.x)
        ///
        /// Its conversations become expired sessions, which can be read and continued. A channel becomes a
        /// session if it has exactly one agent, which must be an agent of this data directory with
        /// the same id, and one user. Others are named and left out. Sessions that exist are
        /// skipped, so the command can be repeated. If it is stopped, what it has read is stored.
        /// The exit code is 1 if a channel was left out because that server failed.
        #[arg(long, value_name = "URL", conflicts_with_all = ["file", "merge"])]
        from_elizaos: Option<String>,

        /// Variable that holds that server's key
        ///
        /// The key is its ELIZA_SERVER_AUTH_TOKEN.
        #[arg(long, value_name = "NAME", requires = "from_elizaos")]
        api_key_env: Option<String>,

        /// Print a JSON object
        ///
        /// It has database, sessions, messages and damaged (records in quarantine); with
        /// --from-elizaos database, sessions, messages, unanswered (messages without a reply),
        /// skipped, leftOut (an array of channelId, name and reason) and failed (how many were left
        /// out because that server failed).
        #[arg(long)]
        json: bool,
    },
}

/// The arguments of `sessiond chat`.
#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    /// The agent, by its name or id; by default the first one with a model or a service behind it
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub(super) agent: Option<String>,

    /// Continue this session; if it has expired and is still retained, a new one continues it
    #[arg(long, value_name = "ID")]
    pub(super) session: Option<String>,

    /// The user, as a UUID or any text, from which the UUID is derived as ElizaOS does; by default
    /// the login name
    #[arg(long, value_name = "USER", conflicts_with = "session", value_parser = user_id)]
    pub(super) user: Option<UserId>,

    /// A server elsewhere; its token is in `SESSIOND_TOKEN`, or is asked for
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
}

/// What `sessiond agents` does beside listing them.
#[derive(Debug, Subcommand)]
pub(super) enum AgentsAction {
    /// Connect a model, a webhook, an ElizaOS agent or an agent elsewhere: write its character file
    #[command(after_help = "Example:\n  sessiond agents new Ollie --model gemma3:latest")]
    New(NewAgentArgs),
}

/// The arguments of `sessiond agents new`.
#[derive(Debug, Args)]
pub(super) struct NewAgentArgs {
    /// The agent's name; its file is agents/NAME.json in the data directory, in lower case and with
    /// hyphens
    #[arg(value_name = "NAME")]
    pub(super) name: String,

    /// What answers for it
    #[arg(long, value_enum, default_value_t = BackendName::OpenAi)]
    pub(super) backend: BackendName,

    /// Address of the server behind it; for openai by default the server that the variables of
    /// ElizaOS name, else Ollama on this machine
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,

    /// The model, which is checked against the server's list; without it, the list is offered
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,

    /// Variable that holds the server's key
    #[arg(long, value_name = "VARIABLE")]
    pub(super) api_key_env: Option<String>,
}

/// What can answer for a new agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendName {
    /// A model behind a chat completions API
    #[value(name = "openai")]
    OpenAi,
    /// Your own code, which messages are posted to
    Webhook,
    /// An agent of an ElizaOS server
    #[value(name = "elizaos")]
    ElizaOs,
    /// A person or a program that submits its replies
    External,
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "openai",
            Self::Webhook => "webhook",
            Self::ElizaOs => "elizaos",
            Self::External => "external",
        })
    }
}
