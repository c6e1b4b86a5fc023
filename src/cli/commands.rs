//! The commands, their arguments and their help.

use std::fmt;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

/// The command line without the settings.
#[derive(Debug, Parser)]
#[command(name = "sessiond", version, styles = STYLES, about = ABOUT, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<CliCommand>,
}

const ABOUT: &str = "\
A self-hosted, durable server of the ElizaOS Sessions API

Without a command it serves: start it, and open http://127.0.0.1:3000 in a browser. No setting is
required for that.";

const AFTER_HELP: &str = "\
Each setting is a flag, an environment variable, or a line of a .env file in the working
directory, in this order of precedence. RUST_LOG sets the log filter.

To serve other machines:
  echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env
  sessiond --server-host 0.0.0.0

Exit codes:
  0  done
  1  failed, or a setting is invalid
  2  invalid command line";

/// A command.
#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Serve the API; the same as no command
    #[command(
        after_help = "Example:\n  sessiond serve --server-port 8080 --data-dir /var/lib/sessiond"
    )]
    Serve,

    /// Talk to an agent from the terminal: through the running server, or through one within this
    /// command if none runs
    ///
    /// On a terminal `/help` lists the commands of a chat. Through a pipe each line is a message and
    /// each reply is printed as text; the exit code is 1 if a message gets no reply.
    #[command(after_help = "Example:\n  sessiond chat --agent Eliza")]
    Chat(ChatArgs),

    /// List the agents with their backends, models and addresses; `agents new` connects one
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

    /// Check whether the running server is ready; the exit code is 0 if it is healthy or degraded
    #[command(after_help = "Example:\n  sessiond healthcheck --server-port 8080")]
    Healthcheck {
        /// Only check whether its process answers, whatever the state of the disk
        #[arg(long)]
        live: bool,
    },

    /// Print a new random token
    #[command(
        after_help = "Example:\n  echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env"
    )]
    Token,

    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  source <(sessiond completions bash)")]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },

    /// Check every page, record and index row; prints a line per fault, with the exit code 1
    #[command(after_help = "Example:\n  sessiond check --data-dir /var/lib/sessiond")]
    Check,

    /// Reduce the database file to its smallest size
    #[command(after_help = "Example:\n  sessiond compact --data-dir /var/lib/sessiond")]
    Compact,

    /// Write a checked copy of the database to a new file, also while a server is running
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
        /// Only the sessions of this user
        #[arg(long, value_name = "ID", conflicts_with = "session")]
        user: Option<String>,
    },

    /// Create a database from exported lines, from a file or standard input
    #[command(
        after_help = "Example:\n  sessiond import --data-dir /var/lib/sessiond sessions.jsonl"
    )]
    Import {
        /// The lines, as printed by `sessiond export`; by default standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
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
    #[arg(long, value_name = "USER", conflicts_with = "session")]
    pub(super) user: Option<String>,

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
