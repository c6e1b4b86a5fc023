//! The arguments of `sessiond sessions`.

#![allow(
    clippy::doc_markdown,
    reason = "the documentation of an argument is its text in `--help`"
)]

use clap::{Args, Subcommand, ValueEnum};

use super::super::user_id::user_id;
use crate::domain::id::UserId;

/// The arguments of `sessiond sessions`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SessionsArgs {
    /// Address of another server; its token comes from SESSIOND_TOKEN, or is asked for
    #[arg(long, value_name = "URL", global = true)]
    pub(in crate::cli) url: Option<String>,

    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) action: SessionsAction,
}

/// What `sessiond sessions` does.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsAction {
    /// List sessions, newest first
    #[command(after_help = "\
Examples:
  sessiond sessions list --status all
  sessiond sessions list --agent Eliza --query garden

A session has two lines: its id, last activity, time left and agent; its user
and title (without one, the beginning of its last message).
--json prints an array of sessions as GET /api/messaging/sessions has them, with lastMessage.")]
    List(ListArgs),

    /// Show a session and its last messages
    #[command(after_help = "\
Example:
  sessiond sessions show 01a1fba1-0cf4-72b1-b1f0-1027f3da31c5

An expired session can be shown while it is retained.
--json prints an object of session and messages, oldest first, as the API has them.")]
    Show(ShowArgs),

    /// Search the messages of active and retained sessions
    #[command(after_help = "\
Example:
  sessiond sessions search roses --agent Eliza

The newest session comes first, and in it the newest message.
--json prints an array of messages as POST /api/messaging/messages/search has them.")]
    Search(SearchArgs),

    /// Delete sessions and their messages
    #[command(after_help = "\
Examples:
  sessiond sessions delete 01a1fba1-0cf4-72b1-b1f0-1027f3da31c5
  sessiond sessions delete --yes --user 3c90c3cc-0d44-4b50-8888-8dd25736052a

On a terminal it asks before. If one of the sessions does not exist, none is deleted.
--json prints an object of deleted, the number of sessions.")]
    Delete(DeleteArgs),
}

/// Which sessions are listed.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only sessions with this agent
    #[arg(long, value_name = "NAME|ID")]
    pub(super) agent: Option<String>,

    /// Only sessions of this user, a UUID or a name, as in `sessiond chat`
    #[arg(long, value_name = "USER", value_parser = user_id)]
    pub(super) user: Option<UserId>,

    /// Only active, only expired, or all sessions
    #[arg(long, value_enum, default_value_t = StatusChoice::Active, hide_possible_values = true)]
    #[arg(value_name = "STATUS")]
    pub(super) status: StatusChoice,

    /// Only sessions with this text in their metadata, or at an end of their or their user's id
    #[arg(long, value_name = "TEXT")]
    pub(super) query: Option<String>,

    /// How many sessions, from 1 on
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one)]
    pub(super) limit: usize,
}

/// The status of listed sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StatusChoice {
    Active,
    Expired,
    All,
}

/// Which session is shown.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The session
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// How many of the last messages, up to 100
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) messages: u8,
}

/// What is searched for.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// A part of the messages, in any case
    #[arg(value_name = "TEXT")]
    pub(super) text: String,

    /// Only sessions with this agent
    #[arg(long, value_name = "NAME|ID")]
    pub(super) agent: Option<String>,

    /// Only sessions of this user, a UUID or a name, as in `sessiond chat`
    #[arg(long, value_name = "USER", value_parser = user_id)]
    pub(super) user: Option<UserId>,

    /// How many messages, from 1 on
    #[arg(long, value_name = "N", default_value = "20", value_parser = at_least_one)]
    pub(super) limit: usize,
}

/// What is deleted.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The sessions
    #[arg(
        value_name = "ID",
        required_unless_present = "user",
        conflicts_with = "user"
    )]
    pub(super) ids: Vec<String>,

    /// All sessions of this user, active and expired, and the user's idempotency keys
    #[arg(long, value_name = "USER", value_parser = user_id)]
    pub(super) user: Option<UserId>,

    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

impl StatusChoice {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::All => "all",
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a whole number from 1 on".to_owned())
}
