//! The commands with their own arguments and their help.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

/// The command line, but for the settings.
#[derive(Debug, Parser)]
#[command(name = "sessiond", version, styles = STYLES, about = ABOUT, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const ABOUT: &str = "\
A self-hosted, durable server of the ElizaOS Sessions API

Without a command it serves: start it, and open http://127.0.0.1:3000 in a browser. Nothing needs to
be set for that.";

const AFTER_HELP: &str = "\
Each setting is a flag, an environment variable, or a line of a .env file in the working
directory, in this order of precedence. RUST_LOG sets the log's levels.

To serve other machines:
  echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env
  sessiond --server-host 0.0.0.0

Exit codes:
  0  done
  1  failed, or a setting is invalid
  2  wrong usage of the command line";

/// What the program does.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the API; the same as no command
    #[command(
        after_help = "Example:\n  sessiond serve --server-port 8080 --data-dir /var/lib/sessiond"
    )]
    Serve,

    /// List the agents with their backends
    #[command(after_help = "Example:\n  sessiond agents --probe")]
    Agents {
        /// Ask each agent one short question; the exit code is 1 if one does not answer
        #[arg(long)]
        probe: bool,
    },

    /// Ask the running server whether it is ready; the exit code is 0 when it is healthy or degraded
    #[command(after_help = "Example:\n  sessiond healthcheck --server-port 8080")]
    Healthcheck {
        /// Ask whether its process answers, whatever the disk does
        #[arg(long)]
        live: bool,
    },

    /// Print a fresh random token
    #[command(
        after_help = "Example:\n  echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env"
    )]
    Token,

    /// Print a script that completes sessiond's arguments in a shell
    #[command(after_help = "Example:\n  source <(sessiond completions bash)")]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },

    /// Check every page, record and index row; a line for each fault, and the exit code 1
    #[command(after_help = "Example:\n  sessiond check --data-dir /var/lib/sessiond")]
    Check,

    /// Make the database as small as it can be
    #[command(after_help = "Example:\n  sessiond compact --data-dir /var/lib/sessiond")]
    Compact,

    /// Write a checked copy to a new file; a running server is asked for it
    #[command(after_help = "Example:\n  sessiond backup /backups/sessiond.redb")]
    Backup {
        /// The new file; one that is there already is not replaced
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },

    /// Replace the database with a backup
    #[command(after_help = "Example:\n  sessiond restore --force /backups/sessiond.redb")]
    Restore {
        /// The backup, as `sessiond backup` has made it
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Replace the database that is there
        #[arg(long)]
        force: bool,
    },

    /// Print sessions as JSON Lines; a running server is asked for them
    #[command(after_help = "Example:\n  sessiond export > sessions.jsonl")]
    Export {
        /// Only this session
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },

    /// Make a database of exported lines, from a file or standard input
    #[command(
        after_help = "Example:\n  sessiond import --data-dir /var/lib/sessiond sessions.jsonl"
    )]
    Import {
        /// The lines, as `sessiond export` has printed them; without it, standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}
