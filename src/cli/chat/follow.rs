//! Follows the turns of a session until none is open, and shows what its agent says meanwhile.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, interval};

use super::super::connection::ServerConnection;
use super::super::hidden_input::Modes;
use super::super::stopped_by_signal::StoppedBySignal;
use super::conversation::{Conversation, PATIENCE};
use super::events::StreamedEvent;
use super::input::Entered;
use super::reply::{StreamedReply, Unanswered};
use super::sessions;
use super::stops::Stop;
use super::terminal::typed;

/// How often the terminal is read while a reply is streamed.
const TYPED_INTERVAL: Duration = Duration::from_millis(100);

/// How many messages are searched for the cause of a failure that no event has reported.
const SEARCHED_MESSAGES: usize = 20;

/// What is known of the turn of a message.
#[derive(Debug, Default)]
struct Turn {
    /// The message; `None` for whatever turns are open.
    message: Option<String>,
    /// Whether the events have reached the message.
    is_reached: bool,
    is_answered: bool,
    is_interrupted: bool,
    failure: Option<String>,
    /// When the connection was lost.
    lost_at: Option<Instant>,
}

impl Turn {
    /// Takes an event in, and shows it. Returns whether the turn is over.
    fn take(
        &mut self,
        event: StreamedEvent,
        reply: &mut StreamedReply<'_>,
    ) -> anyhow::Result<bool> {
        if event != StreamedEvent::Lost {
            self.lost_at = None;
        }
        match event {
            StreamedEvent::Message(message) if message.is_agent => {
                reply.store(&message)?;
                if message.in_reply_to == self.message {
                    self.is_answered = true;
                    self.is_interrupted = message.is_interrupted;
                }
            }
            StreamedEvent::Message(message) => self.is_reached |= self.message == Some(message.id),
            StreamedEvent::Chunk {
                message_id,
                text,
                index,
            } => reply.add(&message_id, &text, index)?,
            StreamedEvent::Activity(activity) => reply.act(&activity)?,
            StreamedEvent::Failed { error, reason } => {
                reply.abandon()?;
                self.is_interrupted = reason == "cancelled";
                self.failure = Some(error);
            }
            StreamedEvent::Idle => return Ok(self.is_reached),
            StreamedEvent::State { is_idle, partial } => {
                if let Some((id, text)) = partial {
                    reply.replace(&id, &text)?;
                }
                return Ok(is_idle && self.is_reached);
            }
            StreamedEvent::Ended(reason) => {
                self.failure.get_or_insert_with(|| reason.to_owned());
                return Ok(true);
            }
            StreamedEvent::Lost => return self.wait(reply).map(|()| false),
        }
        Ok(false)
    }

    /// Waits for a lost connection, but not forever.
    fn wait(&mut self, reply: &mut StreamedReply<'_>) -> anyhow::Result<()> {
        let Some(lost_at) = self.lost_at else {
            self.lost_at = Some(Instant::now());
            return reply.screen().note("(connection lost; reconnecting)");
        };
        let is_patient = lost_at.elapsed() < PATIENCE;
        is_patient
            .then_some(())
            .context("the connection was lost, and the server does not answer")
    }

    /// Returns the error of the turn, if it has one.
    async fn end(
        self,
        connection: &ServerConnection,
        session: &str,
    ) -> anyhow::Result<Option<String>> {
        let Some(message) = self.message.filter(|_| !self.is_answered) else {
            return Ok(None);
        };
        if self.failure.is_some() {
            return Ok(self.failure);
        }
        // It failed while the connection was lost.
        let newest = sessions::newest(connection, session, SEARCHED_MESSAGES).await?;
        let own = newest.into_iter().find(|stored| stored.id == message);
        let failure = own.and_then(|stored| stored.failure);
        Ok(Some(
            failure.unwrap_or_else(|| "its turn has ended".to_owned()),
        ))
    }
}

/// Queues what was typed, to be entered after the reply. Returns whether it stops the reply instead.
fn take_typed(queued: &mut VecDeque<Entered>) -> bool {
    match typed() {
        Some(Entered::Line(line)) if line == "/stop" => return true,
        Some(Entered::Line(line)) if line.is_empty() => {}
        Some(entered) => queued.push_back(entered),
        None => {}
    }
    false
}

impl Conversation<'_> {
    /// Shows what happens until the turn of a message is over and no other one is open; without a
    /// message, until none is open.
    pub(super) async fn follow(&mut self, message: Option<&str>) -> anyhow::Result<()> {
        let Some((session, events)) = &mut self.session else {
            return Ok(());
        };
        let is_interactive = self.screen.is_interactive();
        // What is typed would appear within the text of the reply.
        let quiet = is_interactive.then(Modes::without_echo);
        let mut turn = Turn {
            message: message.map(str::to_owned),
            is_reached: message.is_none(),
            ..Turn::default()
        };
        let mut reply = StreamedReply::new(&mut self.screen, &self.agent.name);
        let mut typing = interval(TYPED_INTERVAL);
        let mut stopping = None;
        loop {
            let mut next = pin!(events.next());
            let event = loop {
                let stops = tokio::select! {
                    event = &mut next => break event?,
                    stop = self.stops.next() => {
                        if stopping.is_some() || stop != Stop::Interrupt {
                            // The terminal may be gone.
                            let _ = reply.abandon();
                            return Err(StoppedBySignal::from(stop).into());
                        }
                        stopping = Some(stop);
                        true
                    }
                    _ = typing.tick(), if is_interactive => take_typed(&mut self.queued),
                };
                if stops {
                    reply.screen().note("(stopping)")?;
                    let cancelling = sessions::cancel(self.connection, &session.id, message);
                    match self.stops.interrupting(cancelling).await {
                        Err(error) if error.is::<StoppedBySignal>() => return Err(error),
                        Err(error) => {
                            let text = format!("(the reply was not stopped: {error:#})");
                            reply.screen().note(&text)?;
                        }
                        Ok(()) => {}
                    }
                }
            };
            if turn.take(event, &mut reply)? {
                break;
            }
        }
        if is_interactive {
            // The editor would not see an end that was typed before it.
            take_typed(&mut self.queued);
        }
        drop(quiet);
        let is_stopped = turn.is_interrupted;
        let ending = turn.end(self.connection, &session.id);
        let failure = self.stops.interrupting(ending).await?;
        match failure {
            _ if is_stopped && !is_interactive => Err(match stopping {
                Some(stop) => StoppedBySignal::from(stop).into(),
                None => Unanswered("it was stopped".to_owned()).into(),
            }),
            None => Ok(()),
            Some(_) if is_stopped => self.screen.note("(stopped)"),
            Some(failure) => {
                self.show_cause().await?;
                Err(Unanswered(failure).into())
            }
        }
    }

    /// Shows operators why the agent has failed.
    async fn show_cause(&mut self) -> anyhow::Result<()> {
        let looking_up = sessions::last_cause(self.connection, &self.agent.id);
        let found = self
            .stops
            .interrupting(async { Ok(looking_up.await) })
            .await?;
        found.map_or(Ok(()), |cause| {
            self.screen
                .report(&format!("the agent's last failure: {cause}"))
        })
    }
}
