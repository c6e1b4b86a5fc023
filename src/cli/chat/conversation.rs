//! The conversation of a chat: what is entered, and which session it belongs to.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::agent_names::NamedAgent;
use super::super::connection::{ApiRefusal, ServerConnection};
use super::super::output::one_line;
use super::super::stopped_by_signal::StoppedBySignal;
use super::events::{Events, StreamedEvent};
use super::input::{Entered, Input};
use super::reply::{StreamedReply, Unanswered};
use super::screen::Screen;
use super::sessions::{self, ChatSession, Listed, is_refused};
use super::stops::Stops;

/// How long a chat waits for a server that is away.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(300);

const PROMPT: &str = "> ";

/// How many messages are shown of a session that is continued.
const SHOWN_MESSAGES: usize = 4;

/// The longest part of a message in a list, in characters.
const SHOWN_CHARS: usize = 70;

const HELP: &str = "\
/stop      stop the reply, as Ctrl-C does
/new       begin a new session with the next message
/sessions  list your sessions, and continue one
/help      show this list
/quit      end the chat, as Ctrl-D does
A message that begins with / is sent with another / before it.";

/// A conversation with an agent.
pub(super) struct Conversation<'a> {
    pub(super) connection: &'a ServerConnection,
    pub(super) screen: Screen,
    pub(super) stops: Stops,
    agents: Vec<NamedAgent>,
    pub(super) agent: NamedAgent,
    user: String,
    /// The arguments that lead to the same server.
    place: String,
    /// `None` until the first message.
    pub(super) session: Option<(ChatSession, Events<'a>)>,
    /// What was entered while a reply was streamed.
    pub(super) queued: VecDeque<Entered>,
}

/// What a command asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command<'a> {
    Say(&'a str),
    New,
    Sessions,
    Help,
    Stop,
    Quit,
    Unknown(&'a str),
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Self {
        let line = line.trim();
        match line {
            "/new" => Self::New,
            "/sessions" => Self::Sessions,
            "/help" => Self::Help,
            "/stop" => Self::Stop,
            "/quit" => Self::Quit,
            _ => match line.strip_prefix('/') {
                None => Self::Say(line),
                Some(rest) if rest.starts_with('/') => Self::Say(rest),
                Some(_) => Self::Unknown(line),
            },
        }
    }
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        connection: &'a ServerConnection,
        screen: Screen,
        stops: Stops,
        agents: Vec<NamedAgent>,
        agent: NamedAgent,
        user: String,
        place: String,
    ) -> Self {
        Self {
            connection,
            screen,
            stops,
            agents,
            agent,
            user,
            place,
            session: None,
            queued: VecDeque::new(),
        }
    }

    /// Reports to a person on the terminal, and to others on standard error.
    pub(super) fn report(&mut self, text: &str) -> anyhow::Result<()> {
        self.screen.report(text)
    }

    /// Shows a remark to a person.
    pub(super) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        self.screen.note(text)
    }

    /// Converses until the input ends.
    pub(super) async fn run(&mut self, input: &Input) -> anyhow::Result<()> {
        if !self.screen.is_interactive() {
            return self.answer_lines(input).await;
        }
        let name = self.agent.name.clone();
        self.note(&format!(
            "Talking to {name}. /help lists the commands, Ctrl-D ends."
        ))?;
        let ended = self.obey_lines(input).await;
        let shown = self.show_how_to_continue();
        // The terminal may be gone.
        ended.and(shown)
    }

    /// Does what a person enters, until one of the lines or the input ends the chat.
    async fn obey_lines(&mut self, input: &Input) -> anyhow::Result<()> {
        while let Some(line) = self.entered(input, PROMPT).await? {
            match self.obey(Command::parse(&line), input).await {
                Ok(true) => {}
                Ok(false) => break,
                // The next message may fare better.
                Err(error) if error.is::<ApiRefusal>() || error.is::<Unanswered>() => {
                    self.screen.line(&format!("sessiond: {error:#}"))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends each line of a pipe, until one gets no reply.
    async fn answer_lines(&mut self, input: &Input) -> anyhow::Result<()> {
        while let Some(line) = self.entered(input, "").await? {
            if !line.trim().is_empty() {
                self.say(&line).await?;
            }
        }
        Ok(())
    }

    /// Returns the next line; `None` at the end of the input.
    async fn entered(&mut self, input: &Input, prompt: &str) -> anyhow::Result<Option<String>> {
        loop {
            let entered = if let Some(queued) = self.queued.pop_front() {
                if let Entered::Line(line) = &queued {
                    self.screen.line(&format!("{prompt}{line}"))?;
                }
                queued
            } else {
                tokio::select! {
                    entered = input.next(prompt) => entered?,
                    stop = self.stops.next() => return Err(StoppedBySignal::from(stop).into()),
                }
            };
            match entered {
                Entered::Line(line) => return Ok(Some(line)),
                Entered::Interrupted => self.note("Ctrl-D ends the chat.")?,
                Entered::End => return Ok(None),
            }
        }
    }

    /// Does what was entered. Returns whether the chat continues.
    async fn obey(&mut self, command: Command<'_>, input: &Input) -> anyhow::Result<bool> {
        match command {
            Command::Say("") => {}
            Command::Say(text) => self.say(text).await?,
            Command::New => {
                self.session = None;
                self.note("The next message begins a new session.")?;
            }
            Command::Sessions => self.choose(input).await?,
            Command::Help => self.screen.line(HELP)?,
            Command::Stop => self.note("There is no reply to stop.")?,
            Command::Quit => return Ok(false),
            Command::Unknown(command) => {
                self.note(&format!("There is no command {command}; /help lists them."))?;
            }
        }
        Ok(true)
    }

    /// Sends a message and shows the reply. If the session has expired, a new one continues it.
    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let key = Uuid::new_v4();
        let said = self.try_to_say(text, key).await;
        let Err(error) = said else {
            return Ok(());
        };
        if is_refused(&error, "SESSION_NOT_FOUND") && self.session.take().is_some() {
            self.report("The session was deleted; the message begins a new one.")?;
            return self.try_to_say(text, key).await;
        }
        if !is_refused(&error, "SESSION_EXPIRED") {
            return Err(error);
        }
        let Some((session, _)) = self.session.take() else {
            return Err(error);
        };
        self.continue_expired(&session).await?;
        self.try_to_say(text, key).await
    }

    async fn try_to_say(&mut self, text: &str, key: Uuid) -> anyhow::Result<()> {
        self.be_ready().await?;
        let Some((session, _)) = &self.session else {
            return Ok(());
        };
        let (connection, id) = (self.connection, session.id.clone());
        let sending = || sessions::send(connection, &id, text, key);
        let message = self.insist(sending).await?;
        self.follow(Some(&message)).await
    }

    /// Creates the session if there is none, and listens to its events.
    async fn be_ready(&mut self) -> anyhow::Result<()> {
        if self.session.is_none() {
            let (connection, key) = (self.connection, Uuid::new_v4());
            let (agent, user) = (self.agent.id.clone(), self.user.clone());
            let creating = || sessions::create(connection, &agent, &user, key, None);
            let session = self.insist(creating).await?;
            self.enter(session);
        }
        let Some((_, events)) = &mut self.session else {
            return Ok(());
        };
        // What was said elsewhere since the last reply.
        while events.is_live() {
            match events.next().now_or_never() {
                Some(Ok(StreamedEvent::Message(message))) if message.is_agent => {
                    StreamedReply::new(&mut self.screen, &self.agent.name).store(&message)?;
                }
                // Sending says how the session ended.
                Some(Ok(StreamedEvent::Ended(_))) | None => return Ok(()),
                Some(event) => drop(event?),
            }
        }
        self.follow(None).await
    }

    fn enter(&mut self, session: ChatSession) {
        let name = self.agents.iter().find(|agent| agent.id == session.agent);
        self.agent = NamedAgent {
            id: session.agent.clone(),
            name: name.map_or_else(|| session.agent.clone(), |agent| agent.name.clone()),
        };
        self.user.clone_from(&session.user);
        let events = Events::new(self.connection, &session.id);
        self.session = Some((session, events));
    }

    /// Continues an earlier session, by a copy if it has expired.
    pub(super) async fn resume(&mut self, id: &str) -> anyhow::Result<()> {
        let finding = sessions::find(self.connection, id);
        let (session, is_expired) = self.stops.interrupting(finding).await?;
        if is_expired {
            self.continue_expired(&session).await?;
        } else {
            self.note(&format!("Continuing the session {}.", session.id))?;
            self.enter(session);
        }
        self.show_newest().await?;
        // A reply that is still being streamed is shown.
        self.follow(None).await
    }

    async fn continue_expired(&mut self, session: &ChatSession) -> anyhow::Result<()> {
        let (connection, key) = (self.connection, Uuid::new_v4());
        let ChatSession { id, agent, user } = session;
        let creating = || sessions::create(connection, agent, user, key, Some(id.as_str()));
        let continued = self.insist(creating).await?;
        let text = format!(
            "The session {id} has expired; {} continues it.",
            continued.id
        );
        self.report(&text)?;
        self.enter(continued);
        Ok(())
    }

    async fn show_newest(&mut self) -> anyhow::Result<()> {
        let Some((session, _)) = self
            .session
            .as_ref()
            .filter(|_| self.screen.is_interactive())
        else {
            return Ok(());
        };
        let loading = sessions::newest(self.connection, &session.id, SHOWN_MESSAGES);
        for message in self.stops.interrupting(loading).await? {
            let author = if message.is_agent {
                self.agent.name.as_str()
            } else {
                "you"
            };
            let line = format!("{author}: {}", beginning(&message.text));
            self.screen.note(&line)?;
        }
        Ok(())
    }

    /// Lists the user's sessions, and continues one of them.
    async fn choose(&mut self, input: &Input) -> anyhow::Result<()> {
        let listing = sessions::list(self.connection, &self.user);
        let listed = self.stops.interrupting(listing).await?;
        if listed.is_empty() {
            return self.note("You have no sessions yet.");
        }
        for (index, session) in listed.iter().enumerate() {
            let line = format!("{:>3}  {}", index + 1, self.described(session));
            self.screen.line(&line)?;
        }
        let prompt = "Number of the session to continue, or nothing: ";
        let Some(entered) = self.entered(input, prompt).await? else {
            return Ok(());
        };
        let entered = entered.trim();
        if entered.is_empty() {
            return Ok(());
        }
        let index = entered
            .parse::<usize>()
            .ok()
            .and_then(|it| it.checked_sub(1));
        match index.and_then(|index| listed.get(index)) {
            Some(chosen) => self.resume(&chosen.session.id).await,
            None => self.note(&format!("Expected a number from 1 to {}.", listed.len())),
        }
    }

    fn described(&self, listed: &Listed) -> String {
        let agent = self.agents.iter().find(|it| it.id == listed.session.agent);
        let agent = agent.map_or("?", |agent| agent.name.as_str());
        let at = listed
            .last_activity
            .get(..16)
            .unwrap_or_default()
            .replace('T', " ");
        let expired = if listed.is_expired { " (expired)" } else { "" };
        format!(
            "{at}  {agent}{expired}  {}",
            beginning(&listed.last_message)
        )
    }

    fn show_how_to_continue(&mut self) -> anyhow::Result<()> {
        let Some((session, _)) = &self.session else {
            return Ok(());
        };
        let line = format!(
            "`sessiond chat{} --session {}` continues this session.",
            self.place, session.id
        );
        self.note(&line)
    }

    /// Repeats a request until the server answers it, for as long as it may take to restart.
    async fn insist<T, F: Future<Output = anyhow::Result<T>>>(
        &mut self,
        request: impl Fn() -> F,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut is_noted = false;
        loop {
            let error = match self.stops.interrupting(request()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let is_final = error.is::<StoppedBySignal>()
                || error.downcast_ref().is_some_and(ApiRefusal::is_final);
            if is_final || Instant::now() >= deadline {
                return Err(error);
            }
            if !std::mem::replace(&mut is_noted, true) {
                self.note("The server does not answer; trying again.")?;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns the beginning of a message, in one line.
fn beginning(text: &str) -> String {
    let line = one_line(text);
    let mut chars = line.chars();
    let mut shown: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_a_message() {
        for (line, command) in [
            (" Hello / world ", Command::Say("Hello / world")),
            ("//stop", Command::Say("/stop")),
            ("/stop ", Command::Stop),
            ("/new", Command::New),
            ("/quit", Command::Quit),
            ("/etc/passwd", Command::Unknown("/etc/passwd")),
            ("", Command::Say("")),
        ] {
            assert_eq!(Command::parse(line), command, "{line}");
        }
    }
}
