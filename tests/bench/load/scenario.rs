//! The scenarios.

use std::rc::Rc;

use anyhow::bail;

use crate::api::{Api, SESSIONS, message};
use crate::requests::{Choice, Request};

/// Number of messages on a page.
const PAGE: usize = 50;

/// Number of sessions whose messages are listed.
const LISTED: usize = 4;

/// Number of different bodies that are sent.
const BODIES: usize = 100;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Sessions are created.
    Create,
    /// Sessions are read.
    Get,
    /// Sessions are renewed by heartbeats.
    Heartbeat,
    /// Heartbeats of one connection: the time of a single durable write.
    Single,
    /// Messages are sent and their replies waited for.
    Send,
    /// The newest messages of long sessions are read.
    List,
    /// A mix of these.
    Mixed,
}

/// The amount of data to prepare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stock {
    /// Number of sessions.
    pub(crate) sessions: usize,
    /// Number of messages in a listed session.
    pub(crate) messages: usize,
}

impl Scenario {
    /// All scenarios, in the order in which they are measured.
    pub(crate) const ALL: [Self; 7] = [
        Self::Create,
        Self::Get,
        Self::Heartbeat,
        Self::Single,
        Self::Send,
        Self::List,
        Self::Mixed,
    ];

    /// Parses a name.
    pub(crate) fn parse(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name.trim());
        let Some(scenario) = found else {
            let names: Vec<_> = Self::ALL.iter().map(|scenario| scenario.name()).collect();
            bail!(
                "there is no scenario {name:?}; there are {}, and million, search and cancel by themselves",
                names.join(", ")
            );
        };
        Ok(scenario)
    }

    /// Returns the name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Heartbeat => "heartbeat",
            Self::Single => "single",
            Self::Send => "send",
            Self::List => "list",
            Self::Mixed => "mixed",
        }
    }

    /// Returns the default number of connections.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Get | Self::List => 32,
            Self::Create | Self::Heartbeat | Self::Send | Self::Mixed => 128,
        }
    }

    /// Returns the lowest acceptable share of the bare server's throughput, if there is one. Below
    /// it something is broken; it is not a target.
    pub(crate) fn floor(self) -> Option<f64> {
        match self {
            Self::Create => Some(0.25),
            Self::Get => Some(0.65),
            Self::Heartbeat => Some(0.35),
            Self::Send => Some(0.08),
            Self::List => Some(0.33),
            Self::Single | Self::Mixed => None,
        }
    }

    /// Returns whether the latency is compared with a sync.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List)
    }

    /// Creates the data of the scenario, and returns the requests of each connection.
    pub(crate) async fn prepare(
        self,
        api: &Api,
        connections: usize,
        stock: Stock,
    ) -> anyhow::Result<Vec<Choice>> {
        if self == Self::Create {
            return Ok(vec![creates(api).into(); connections]);
        }
        let sessions = api.create_sessions(stock.sessions.max(connections)).await?;
        match self {
            Self::Create => Ok(Vec::new()),
            Self::Get => Ok(vec![gets(api, &sessions).into(); connections]),
            Self::Heartbeat | Self::Single => {
                Ok(vec![heartbeats(api, &sessions).into(); connections])
            }
            Self::Send => Ok(sends(api, &sessions, connections)),
            Self::List => {
                let listed = &sessions[..LISTED.min(sessions.len())];
                api.fill(listed, stock.messages).await?;
                Ok(vec![lists(api, listed).into(); connections])
            }
            Self::Mixed => mixed(api, &sessions, connections, stock).await,
        }
    }
}

fn creates(api: &Api) -> Vec<Request> {
    let create = |user| Request {
        bytes: api
            .target
            .request("POST", SESSIONS, Some(&api.new_session(user))),
        expected: 201,
    };
    (0..BODIES).map(create).collect()
}

/// Returns reads of sessions.
pub(crate) fn gets(api: &Api, sessions: &[String]) -> Vec<Request> {
    let get = |id| Request {
        bytes: api.target.request("GET", &format!("{SESSIONS}/{id}"), None),
        expected: 200,
    };
    sessions.iter().map(get).collect()
}

/// Returns heartbeats of sessions.
pub(crate) fn heartbeats(api: &Api, sessions: &[String]) -> Vec<Request> {
    let heartbeat = |id| Request {
        bytes: api
            .target
            .request("POST", &format!("{SESSIONS}/{id}/heartbeat"), None),
        expected: 200,
    };
    sessions.iter().map(heartbeat).collect()
}

fn lists(api: &Api, sessions: &[String]) -> Vec<Request> {
    let list = |id| Request {
        bytes: api.target.request(
            "GET",
            &format!("{SESSIONS}/{id}/messages?limit={PAGE}"),
            None,
        ),
        expected: 200,
    };
    sessions.iter().map(list).collect()
}

/// Turns of one session run one after the other, so no two connections share a session.
fn sends(api: &Api, sessions: &[String], connections: usize) -> Vec<Choice> {
    let own = |connection| -> Choice {
        let own = sessions.iter().skip(connection).step_by(connections);
        let send = |(topic, id)| Request {
            bytes: api.target.request(
                "POST",
                &format!("{SESSIONS}/{id}/messages"),
                Some(&message(Some(topic))),
            ),
            expected: 201,
        };
        own.enumerate().map(send).collect()
    };
    (0..connections).map(own).collect()
}

/// Returns, of a hundred calls: 45 reads, 25 heartbeats, 15 pages, 12 messages and 3 creates.
async fn mixed(
    api: &Api,
    sessions: &[String],
    connections: usize,
    stock: Stock,
) -> anyhow::Result<Vec<Choice>> {
    let listed = &sessions[..LISTED.min(sessions.len())];
    api.fill(listed, stock.messages).await?;
    let messages = sends(api, sessions, connections);
    let day = |(connection, own): (usize, &Choice)| -> Choice {
        let mut calls = Vec::with_capacity(100);
        let offset = connection * 45;
        let some = |count| {
            let from = sessions.iter().cycle().skip(offset % sessions.len());
            from.take(count).cloned().collect::<Vec<_>>()
        };
        calls.extend(gets(api, &some(45)));
        calls.extend(heartbeats(api, &some(25)));
        calls.extend(lists(api, listed).iter().cycle().take(15).cloned());
        calls.extend(own.iter().cycle().take(12).cloned());
        calls.extend(creates(api).into_iter().take(3));
        Rc::from(calls)
    };
    Ok(messages.iter().enumerate().map(day).collect())
}
