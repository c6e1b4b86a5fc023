//! The agents of a server, found by name.

use anyhow::bail;
use reqwest::Method;
use serde_json::Value;

use super::connection::ServerConnection;
use super::output::one_line;

/// An agent of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedAgent {
    pub(super) id: String,
    pub(super) name: String,
}

/// Returns the agents of the server.
pub(super) async fn agents(connection: &ServerConnection) -> anyhow::Result<Vec<NamedAgent>> {
    let answer = connection.json(Method::GET, "/api/agents", None).await?;
    let agents = answer["data"]["agents"].as_array();
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let agents = agents.map_or(&[][..], Vec::as_slice).iter();
    let agents = agents.map(|agent| NamedAgent {
        id: text(&agent["id"]),
        name: text(&agent["name"]),
    });
    Ok(agents.collect())
}

/// Returns the agent with a name or an id.
pub(super) fn named<'a>(agents: &'a [NamedAgent], name: &str) -> anyhow::Result<&'a NamedAgent> {
    let wanted = name.trim().to_lowercase();
    let is_wanted = |it: &&NamedAgent| it.id == wanted || it.name.to_lowercase() == wanted;
    let found: Vec<_> = agents.iter().filter(is_wanted).collect();
    let listed = || {
        let lines = agents.iter().map(|it| format!("  {}  {}", it.id, it.name));
        lines.collect::<Vec<_>>().join("\n")
    };
    match found[..] {
        [agent] => Ok(agent),
        [] => bail!("there is no agent {name:?}; the agents are:\n{}", listed()),
        _ => bail!(
            "{} agents have the name {name:?}; choose one by its id:\n{}",
            found.len(),
            listed()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_found_by_its_name_or_id() {
        let agent = |id: &str, name: &str| NamedAgent {
            id: id.to_owned(),
            name: name.to_owned(),
        };
        let agents = [
            agent("1a", "Eliza"),
            agent("2b", "Ollie"),
            agent("3c", "ollie"),
        ];
        for (name, id) in [("eliza", "1a"), (" 2B ", "2b"), ("3c", "3c")] {
            assert_eq!(named(&agents, name).unwrap().id, id);
        }
        let message = named(&agents, "Ollie").unwrap_err().to_string();
        assert!(message.contains("2 agents have the name") && message.contains("  3c  ollie"));
        let message = named(&agents, "Elza").unwrap_err().to_string();
        assert!(
            message.contains("the agents are:\n  1a  Eliza\n"),
            "{message}"
        );
    }
}
