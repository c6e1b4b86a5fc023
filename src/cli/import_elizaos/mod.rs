//! `sessiond import --from-elizaos`: the conversations of a running `ElizaOS` server as expired
//! sessions, which can be read and continued.

mod conversation;
mod pages;
mod parties;
mod read_message;
mod reader;
mod session;
mod sink;
mod summary;
mod wire;

use std::collections::{BTreeSet, HashSet};
use std::pin::{Pin, pin};

use anyhow::Context as _;
use reqwest::StatusCode;
use uuid::Uuid;

use self::conversation::ArchivedConversation;
use self::pages::Limits;
use self::parties::{KnownAgents, Mismatch, Parties};
use self::read_message::{MessageContext, ReadMessage, time};
use self::reader::{ElizaOsError, ElizaOsReader};
use self::session::KnownChannel;
use self::sink::{ImportOutcome, Results, Sink};
use self::summary::Summary;
use self::wire::Channel;
use super::data_dir;
use super::output::{Bar, CHANNELS};
use super::server_client::runtime;
use super::stopped_by_signal::StoppedBySignal;
use super::usage_error::UsageError;
use crate::agents::new_agent::{key, parse_address};
use crate::agents::registry::{BackendContext, Registry};
use crate::clock::Clock;
use crate::domain::id::{AgentId, SessionId, parse_uuid};
use crate::domain::timeout::{LONGEST_TIMEOUT_MINUTES, TimeoutConfig, TimeoutPolicy};
use crate::json::Field;
use crate::process::signals;
use crate::settings::Config;
use crate::store::maintenance::offline::Progress;

/// Reads all channels of the server at an address, with the key in a variable.
pub(super) fn run(
    config: &Config,
    url: &str,
    key_variable: Option<&str>,
    is_json: bool,
) -> anyhow::Result<()> {
    let base = parse_address("--from-elizaos", url).map_err(UsageError)?;
    let key = key_variable.map(|variable| key(variable, &config.environment));
    let key = key.transpose().map_err(anyhow::Error::msg)?;
    let context = BackendContext::new(config.environment.clone())?;
    let agents_dir = config.storage.agents_dir();
    let registry = Registry::load(&agents_dir, Clock::system().now(), &context)?;
    let ours: Vec<_> = registry.iter().map(|agent| agent.character.id).collect();
    let sink = Sink::open(config)?;
    let reader = ElizaOsReader::new(base, key, key_variable.map(str::to_owned))?;
    runtime()?.block_on(async {
        // From here on, what was read is stored before a signal ends the command.
        data_dir::complete_files_at_signal();
        let mut import = Import {
            sink,
            stop: Box::pin(signals::stop_signal_number()),
            summary: Summary {
                database: config.storage.database().display().to_string(),
                ..Summary::default()
            },
        };
        let imported = import.all(config, &reader, ours).await;
        // What was read before an error is stored.
        let finished = import.flush().await;
        let summary = &import.summary;
        // That it could not be stored matters more than why the reading ended.
        finished
            .and(imported)
            .with_context(|| format!("{}; run the command again to go on", summary.counts()))?;
        summary.report(is_json)
    })
}

/// An import in progress.
struct Import<'a> {
    sink: Sink<'a>,
    /// Resolves with the number of the signal that stops the command.
    stop: Pin<Box<dyn Future<Output = i32>>>,
    summary: Summary,
}

impl Import<'_> {
    async fn all(
        &mut self,
        config: &Config,
        reader: &ElizaOsReader,
        ours: Vec<AgentId>,
    ) -> anyhow::Result<()> {
        let listing = async { anyhow::Ok((reader.channels().await?, reader.agents().await?)) };
        let (channels, theirs) = unless_stopped(&mut self.stop, listing).await??;
        let ids = channels.iter().filter_map(|it| SessionId::parse(&it.id));
        self.sink.find(&ids.collect::<Vec<_>>())?;
        let source = Source {
            config,
            reader,
            agents: KnownAgents::new(theirs, ours.into_iter(), reader.base(), reader.variable()),
        };
        let bar = Bar::new(CHANNELS, "reading");
        let total = channels.len() as u64;
        let mut seen = HashSet::new();
        for (done, channel) in (0..).zip(channels) {
            bar.show(Progress { done, total });
            // A channel may be listed with several message servers.
            if seen.insert(channel.id.clone()) {
                self.one(&source, channel).await?;
            }
        }
        Ok(())
    }

    /// Imports a channel, or leaves it out.
    async fn one(&mut self, source: &Source<'_>, channel: Channel) -> anyhow::Result<()> {
        let (id, name) = (channel.id.clone(), name(&channel));
        let known = match known(channel) {
            Ok(known) => known,
            Err(reason) => {
                self.summary.leave_out(&id, &name, reason);
                return Ok(());
            }
        };
        let found = self.sink.has(SessionId(known.id));
        if unless_stopped(&mut self.stop, found).await?? {
            self.summary.skipped += 1;
            return Ok(());
        }
        match self.read(source, known).await? {
            Ok(conversation) => {
                let mut done = Vec::new();
                let added = self.sink.add(conversation, &mut done).await;
                self.count(done);
                added
            }
            Err(ElizaOsError::Answer(reason)) => {
                self.summary.leave_out(&id, &name, reason);
                Ok(())
            }
            Err(ElizaOsError::Unreadable(reason) | ElizaOsError::ServerError(reason)) => {
                self.summary.leave_out(&id, &name, reason);
                self.summary.failed += 1;
                Ok(())
            }
            // Earlier requests were accepted.
            Err(ElizaOsError::Refused { status, path }) => {
                let status = status.as_u16();
                let reason = format!("the server refuses GET {path} ({status})");
                self.summary.leave_out(&id, &name, reason);
                // The key was valid before. What is forbidden stays so.
                if status == StatusCode::UNAUTHORIZED.as_u16() {
                    self.summary.failed += 1;
                }
                Ok(())
            }
            Err(ElizaOsError::Failed(error)) => Err(error),
        }
    }

    /// Reads a channel. If the other server makes it wait, stores what was read before.
    async fn read(
        &mut self,
        source: &Source<'_>,
        channel: KnownChannel,
    ) -> anyhow::Result<Result<ArchivedConversation, ElizaOsError>> {
        let mut reading = pin!(source.conversation(channel, self.sink.limits()));
        loop {
            let waiting = source.reader.waiting();
            let step = async {
                tokio::select! {
                    read = &mut reading => Some(read),
                    () = waiting => None,
                }
            };
            match unless_stopped(&mut self.stop, step).await? {
                Some(read) => return Ok(read),
                None => self.flush().await?,
            }
        }
    }

    /// Stores what was read.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let mut done = Vec::new();
        let flushed = self.sink.flush(&mut done).await;
        self.count(done);
        flushed
    }

    fn count(&mut self, results: Results) {
        for (conversation, outcome) in results {
            match outcome {
                ImportOutcome::Stored => {
                    self.summary.sessions += 1;
                    self.summary.messages += conversation.messages();
                    self.summary.unanswered += conversation.unanswered;
                }
                ImportOutcome::Exists => self.summary.skipped += 1,
                ImportOutcome::Refused(reason) => {
                    let id = conversation.id.to_string();
                    self.summary.leave_out(&id, &conversation.name, reason);
                }
            }
        }
    }
}

/// Returns the result of some work, unless a signal arrives before.
async fn unless_stopped<T>(
    stop: &mut Pin<Box<dyn Future<Output = i32>>>,
    work: impl Future<Output = T>,
) -> Result<T, StoppedBySignal> {
    tokio::select! {
        biased;
        signal = stop => Err(StoppedBySignal::new(signal)),
        done = work => Ok(done),
    }
}

/// Where the channels come from.
struct Source<'a> {
    config: &'a Config,
    reader: &'a ElizaOsReader,
    agents: KnownAgents,
}

impl Source<'_> {
    /// Reads a channel.
    async fn conversation(
        &self,
        channel: KnownChannel,
        limits: Limits,
    ) -> Result<ArchivedConversation, ElizaOsError> {
        let mut ids = self.participants(&channel).await?;
        if let Err(mismatch) = self.agents.parties(&ids, &BTreeSet::new())
            && mismatch.is_final()
        {
            return Err(ElizaOsError::Answer(mismatch.to_string()));
        }
        let context = MessageContext {
            base: self.reader.base(),
            metadata: &channel.metadata,
        };
        let is_agent = |id| self.agents.contains(id);
        let messages = pages::read(self.reader, channel.id, context, limits, is_agent).await?;
        if messages.is_empty() {
            return Err(ElizaOsError::Answer("it has no messages".into()));
        }
        ids.extend(messages.iter().map(|said| said.author));
        let conversation = || {
            let parties = self.parties(&channel, ids, &messages);
            let parties = parties.map_err(|mismatch| mismatch.to_string())?;
            let policy = widest(self.config.rules.policy.defaults);
            ArchivedConversation::new(channel, parties, messages, &policy, Clock::system().now())
        };
        conversation().map_err(ElizaOsError::Answer)
    }

    /// Returns the ids of the participants that are known before the messages. The only one of a
    /// session's channel is the agent that the metadata names.
    async fn participants(&self, channel: &KnownChannel) -> Result<BTreeSet<Uuid>, ElizaOsError> {
        if let Some(agent) = channel.agent().filter(|id| self.agents.contains(*id)) {
            return Ok(BTreeSet::from([agent]));
        }
        let ids = self.reader.participants(channel.id).await?;
        let ids: Option<_> = ids.iter().map(|id| parse_uuid(id)).collect();
        ids.ok_or_else(|| ElizaOsError::Answer("the id of a participant is not a UUID".into()))
    }

    /// Returns the agent and the user among the participants and authors.
    fn parties(
        &self,
        channel: &KnownChannel,
        mut ids: BTreeSet<Uuid>,
        messages: &[ReadMessage],
    ) -> Result<Parties, Mismatch> {
        let replying = messages.iter().filter(|said| said.is_agent());
        let replying = replying.map(|said| said.author).collect();
        match (self.agents.parties(&ids, &replying), channel.user()) {
            // The user of a session has sent nothing yet.
            (Err(Mismatch::NoUser), Some(user)) => {
                ids.insert(user);
                self.agents.parties(&ids, &replying)
            }
            (parties, _) => parties,
        }
    }
}

/// Returns the policy that accepts every timeout that a session can have: an expired one is not
/// changed to fit this server.
fn widest(defaults: TimeoutConfig) -> TimeoutPolicy {
    TimeoutPolicy {
        min_timeout_minutes: 1,
        max_timeout_minutes: LONGEST_TIMEOUT_MINUTES,
        defaults,
    }
}

fn name(channel: &Channel) -> String {
    let name = channel.name.clone().given().ok().flatten();
    name.unwrap_or_default()
}

/// Returns what is known of a channel, or what is wrong with it.
fn known(channel: Channel) -> Result<KnownChannel, String> {
    let name = name(&channel);
    let created_at = channel.created_at.given().ok().flatten();
    let metadata = match channel.metadata {
        Field::Wrong(found) => return Err(format!("its metadata must be an object, not {found}")),
        given => given.given().unwrap_or_default().unwrap_or_default(),
    };
    Ok(KnownChannel {
        id: parse_uuid(&channel.id).ok_or("its id is not a UUID")?,
        name,
        created_at: created_at
            .and_then(|text| time(&text))
            .ok_or("its createdAt is not a time")?,
        metadata,
    })
}
