//! What `sessiond serve` prints on a terminal once it listens.

use std::net::SocketAddr;
use std::path::Path;

use indicatif::HumanBytes;

use super::check::counted;
use super::commands::HEADER;
use super::local_address::reachable;
use super::output::one_line;
use crate::agents::registry::Agent;
use crate::auth::identity::Tokens;
use crate::server::Started;
use crate::settings::Config;

/// How many agents are listed.
const MAX_AGENTS: usize = 8;

/// Returns the text, with styles.
pub(super) fn text(config: &Config, started: &Started) -> String {
    let (url, others) = url(started.address);
    let mut rows = vec![
        ("Console", format!("{url}{others}")),
        ("API docs", format!("{url}/docs")),
        ("Data", data(config, started)),
    ];
    if started.found.clean_stop == Some(false) {
        let found = "unclean; recovered, no acknowledged data lost";
        rows.push(("Last stop", found.to_owned()));
    }
    let agents = agents(started);
    let labels = ["Agents"].into_iter().chain(std::iter::repeat(""));
    rows.extend(labels.zip(agents));
    let is_local = config.server.is_loopback();
    rows.push(("Access", access(&config.auth.tokens, is_local)));
    let rows = rows.iter().map(|(label, value)| {
        let value = one_line(value);
        format!("  {HEADER}{label:<9}{HEADER:#}  {value}\n")
    });
    let rows: String = rows.collect();
    let version = env!("CARGO_PKG_VERSION");
    format!("\n{HEADER}sessiond {version}{HEADER:#}\n\n{rows}\n  Ctrl-C stops it.\n\n")
}

/// Returns the address for a browser on this machine, and what follows it if there are others.
fn url(address: SocketAddr) -> (String, &'static str) {
    let url = format!("http://{}", reachable(address));
    if address.ip().is_unspecified() {
        return (url, ", and every other address of this machine");
    }
    (url, "")
}

fn data(config: &Config, started: &Started) -> String {
    let directory = &config.storage.data_dir;
    // A relative path does not show the working directory.
    let shown = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
    let sessions = counted(started.found.sessions, "session");
    let bytes = size(&config.storage.database());
    format!("{} ({sessions}, {bytes})", shown.display())
}

fn size(database: &Path) -> HumanBytes {
    HumanBytes(std::fs::metadata(database).map_or(0, |found| found.len()))
}

/// Returns a line for each agent.
fn agents(started: &Started) -> Vec<String> {
    let mut lines: Vec<_> = started.agents.iter().map(agent).collect();
    let more = lines.len().saturating_sub(MAX_AGENTS);
    if more > 0 {
        lines.truncate(MAX_AGENTS);
        lines.push(format!("and {more} more: `sessiond agents` lists them"));
    }
    lines
}

fn agent(agent: &Agent) -> String {
    let answers = match (agent.backend.model(), agent.backend.kind()) {
        (Some(model), _) => model,
        (None, "eliza") => "built-in rules, no model",
        (None, kind) => kind,
    };
    format!("{} ({answers})", agent.character.name)
}

/// Returns what protects the server.
fn access(tokens: &Tokens, is_local: bool) -> String {
    let kinds = [
        (tokens.server.is_some(), "the server token"),
        (tokens.admin.is_some(), "the admin token"),
        (tokens.jwt.is_some(), "a user's JWT"),
    ];
    let kinds: Vec<_> = kinds.iter().filter(|(is_set, _)| *is_set).collect();
    match (kinds.as_slice(), is_local) {
        ([], true) => "no token: only this machine can connect".to_owned(),
        ([], false) => "no token: anyone who can connect may do everything".to_owned(),
        (kinds, _) => {
            let names: Vec<_> = kinds.iter().map(|(_, name)| *name).collect();
            format!("requires {}", names.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use tempfile::TempDir;

    use super::*;
    use crate::agents::registry::{BackendContext, Registry};
    use crate::clock::Clock;
    use crate::settings::Layers;
    use crate::store::OpenReport;

    /// Returns the text of a server with these settings and character files.
    fn greeting(settings: &[(&str, &str)], files: &[String]) -> (String, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let variables = settings.iter().copied().chain([("DATA_DIR", path)]);
        let config = Config::read(Layers::from_variables(variables)).unwrap();
        let agents_dir = config.storage.agents_dir();
        std::fs::create_dir(&agents_dir).unwrap();
        for (number, file) in files.iter().enumerate() {
            std::fs::write(agents_dir.join(format!("{number}.json")), file).unwrap();
        }
        let context = BackendContext::new(config.environment.clone()).unwrap();
        let agents = Registry::load(&agents_dir, Clock::system().now(), &context).unwrap();
        let started = Started {
            address: config.server.addresses[0],
            found: OpenReport {
                sessions: 1,
                clean_stop: Some(false),
            },
            agents: agents.into(),
        };
        (text(&config, &started), directory)
    }

    #[test]
    fn it_says_where_everything_is_and_what_protects_it() {
        let (text, directory) = greeting(&[], &[]);
        let data = directory.path().display();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "
sessiond {version}

  Console    http://127.0.0.1:3000
  API docs   http://127.0.0.1:3000/docs
  Data       {data} (1 session, 0 B)
  Last stop  unclean; recovered, no acknowledged data lost
  Agents     Eliza (built-in rules, no model)
  Access     no token: only this machine can connect

  Ctrl-C stops it.

"
        );
        assert_eq!(strip_str(&text).to_string(), expected);
    }

    #[test]
    fn many_agents_and_hostile_names_are_cut() {
        let file = |number: usize| format!(r#"{{"name": "{number}\u001b[2J\n"}}"#);
        let files: Vec<_> = (0..20).map(file).collect();
        let (text, _directory) = greeting(&[], &files);
        let text = strip_str(&text).to_string();
        assert_eq!(text.matches("built-in rules").count(), MAX_AGENTS, "{text}");
        assert!(
            text.contains("             and 13 more: `sessiond agents`"),
            "{text}"
        );
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }

    #[test]
    fn an_address_of_all_interfaces_is_shown_as_one_that_a_browser_can_open() {
        let settings = [
            ("SERVER_HOST", "::"),
            ("SESSIOND_ADMIN_TOKEN", "sixteen letters!"),
        ];
        let (text, _directory) = greeting(&settings, &[]);
        let text = strip_str(&text).to_string();
        let others = "http://[::1]:3000, and every other address of this machine";
        assert!(text.contains(others), "{text}");
        assert!(text.contains("requires the admin token"), "{text}");
        assert!(!text.contains("sixteen letters"), "{text}");
    }
}
