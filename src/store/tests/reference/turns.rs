//! The [`Reference`] for messages, their turns and replies.

use super::*;

impl Reference {
    pub(crate) fn send(&mut self, send: &SendMessage) -> Result<Outcome> {
        let now = self.now;
        let pending: usize = self.sessions.values().map(|kept| kept.turns.len()).sum();
        let server_is_full = pending as u64 >= self.rules.max_pending_turns;
        let name = send.key.as_ref().map(|key| key.as_str().to_owned());
        let kept = self.kept(send.session_id)?;
        let earlier = name.as_ref().and_then(|name| kept.keys.get(name)).copied();

        if let Some(at) = earlier {
            let message = kept.messages[&at].clone();
            if !same_body(&message.body, &send.body) {
                let key = name.unwrap();
                return Err(RuleViolation::IdempotencyConflict { key });
            }
            if matches!(super::turn_state(&message), TurnState::Failed(_)) {
                let kept = self.active(send.session_id)?;
                has_turn_slot(kept, send, server_is_full)?;
                let message = kept.messages.get_mut(&at).unwrap();
                set_turn(message, TurnState::Open);
                kept.turns
                    .push(new_turn(at, kept.turns.is_empty(), send, now));
            }
            let kept = self.kept(send.session_id)?;
            return Ok(Outcome {
                session: kept.session.clone(),
                message: kept.messages[&at].clone(),
                renewed: false,
                replayed: true,
            });
        }

        let kept = self.active(send.session_id)?;
        has_turn_slot(kept, send, server_is_full)?;
        let renewed = touch(&mut kept.session, now);
        // The time of the activity, and later than every message before it.
        let at = kept.next_message_at(kept.session.last_activity);
        let message = Message {
            id: send.message_id,
            session_id: send.session_id,
            author_id: kept.session.user_id.0,
            created_at: at,
            body: send.body.clone(),
            role: Role::User {
                sender: Sender::default(),
                turn_id: send.turn_id,
                reply_id: send.reply_id,
                turn: TurnState::Open,
            },
        };
        kept.messages.insert(at, message.clone());
        kept.keys.extend(name.map(|name| (name, at)));
        kept.turns
            .push(new_turn(at, kept.turns.is_empty(), send, now));
        Ok(Outcome {
            session: kept.session.clone(),
            message,
            renewed,
            replayed: false,
        })
    }

    pub(crate) fn begin(&mut self, id: SessionId, at: Timestamp) -> TurnResult {
        let now = self.now;
        let Some(kept) = self.sessions.get_mut(&id) else {
            return TurnResult::Gone;
        };
        let expired = now >= kept.session.expires_at;
        let Some(turn) = kept.turns.iter_mut().find(|turn| turn.message_at == at) else {
            return TurnResult::Gone;
        };
        if turn.crashes >= 3 {
            return kept.end(at, TurnFailure::crashed_too_often());
        }
        if expired && !turn.begun {
            return kept.end(at, TurnFailure::session_expired());
        }
        turn.begun = true;
        turn.running = true;
        turn.waits_until = None;
        TurnResult::BeginOutcome
    }

    /// The agent will submit its reply later.
    pub(crate) fn park(&mut self, id: SessionId, at: Timestamp, until: Timestamp) -> TurnResult {
        let turns = self.sessions.get_mut(&id).map(|kept| kept.turns.iter_mut());
        let Some(turn) = turns
            .into_iter()
            .flatten()
            .find(|turn| turn.message_at == at)
        else {
            return TurnResult::Gone;
        };
        turn.begun = true;
        turn.running = false;
        turn.waits_until = Some(until);
        TurnResult::Waiting
    }

    pub(crate) fn close(
        &mut self,
        id: SessionId,
        at: Timestamp,
        result: &std::result::Result<Reply, TurnFailure>,
    ) -> TurnResult {
        let now = self.now;
        let Some(kept) = self.sessions.get_mut(&id) else {
            return TurnResult::Gone;
        };
        if !kept.turns.iter().any(|turn| turn.message_at == at) {
            // It may repeat a close whose answer was lost.
            return kept.ended(at);
        }
        let reply = match result {
            Err(failure) => return kept.end(at, failure.clone()),
            Ok(reply) => reply,
        };
        let patch = reply.session_metadata.as_deref();
        let reply = kept.reply_to(at, reply, now);
        kept.answer(&[at], &reply);
        if let Some(patch) = patch {
            metadata::merge_into(&mut kept.session, patch);
        }
        TurnResult::Replied(reply)
    }

    /// A submitted reply. It is not an activity of the user, so it renews nothing.
    pub(crate) fn submit(&mut self, submit: &SubmitReply) -> Result<Submission> {
        let name = submit.key.as_ref().map(|key| key.as_str().to_owned());
        let kept = self.kept(submit.session_id)?;
        let selector = TurnSelector::new(submit.turn_id, submit.in_reply_to);
        let answered = kept.selected(selector, submit.closes_turns);
        let name = match name {
            Some(name) if kept.is_reopened(&name, selector, &answered) => {
                kept.submit_keys.remove(&name);
                kept.submit_errors.remove(&name);
                Some(name)
            }
            other => other,
        };
        if let Some(name) = &name
            && kept.submit_errors.contains_key(name)
        {
            let key = name.clone();
            return Err(RuleViolation::IdempotencyConflict { key });
        }
        let earlier = name.as_ref().and_then(|name| kept.submit_keys.get(name));
        if let Some(at) = earlier {
            let message = kept.messages[at].clone();
            let metadata = submit.reply.session_metadata.as_deref().map(json);
            let same_metadata = kept.submit_metadata[name.as_ref().unwrap()] == metadata;
            return if same_metadata && same_reply(&submit.reply, &message) {
                Ok(Submission {
                    session: kept.session.clone(),
                    message,
                    replayed: true,
                    closed: Vec::new(),
                })
            } else {
                let key = name.unwrap();
                Err(RuleViolation::IdempotencyConflict { key })
            };
        }

        if answered.is_empty() {
            if submit.turn_id.is_some() {
                return Err(kept.turn_closed(selector));
            }
            // A reply that answers no message is a new message, which an expired session refuses.
            let kept = self.active(submit.session_id)?;
            if let Some(refusal) = kept.turn_cancelled(selector) {
                return Err(refusal);
            }
        }
        let now = self.now;
        let kept = self.kept(submit.session_id)?;
        let reply = kept.submitted(submit, answered.last().copied(), now);
        kept.answer(&answered, &reply);
        if let Some(patch) = &submit.reply.session_metadata {
            metadata::merge_into(&mut kept.session, patch);
        }
        if let Some(name) = name {
            let metadata = submit.reply.session_metadata.as_deref().map(json);
            kept.submit_keys.insert(name.clone(), reply.created_at);
            kept.submit_metadata.insert(name, metadata);
        }
        Ok(Submission {
            session: kept.session.clone(),
            closed: answered.iter().map(|at| kept.messages[at].id).collect(),
            message: reply,
            replayed: false,
        })
    }

    /// Closes turns with an error.
    pub(crate) fn submit_failure(&mut self, submit: &SubmitFailure) -> Result<FailedTurns> {
        let name = submit.key.as_ref().map(|key| key.as_str().to_owned());
        let kept = self.kept(submit.session_id)?;
        let failure = TurnFailure::refused(submit.message.clone());
        let selected = kept.selected(submit.selector, submit.closes_turns);
        if let Some(name) = &name
            && kept.submit_keys.contains_key(name)
            && !kept.is_reopened(name, submit.selector, &selected)
        {
            let earlier = kept.submit_errors.get(name);
            let same = earlier.filter(|(message, sent_with, _)| {
                *message == submit.message && has_same_fields(sent_with, &submit.sent_with)
            });
            return match same {
                None => Err(RuleViolation::IdempotencyConflict { key: name.clone() }),
                Some((.., failed)) => Ok(FailedTurns {
                    failed: failed.clone(),
                    failure,
                    replayed: true,
                }),
            };
        }
        let Some(newest) = selected.last().copied() else {
            return Err(kept.turn_closed(submit.selector));
        };
        for at in &selected {
            kept.end(*at, failure.clone());
        }
        let failed: Vec<_> = selected.iter().map(|at| kept.messages[at].id).collect();
        if let Some(name) = name {
            let error = (
                submit.message.clone(),
                submit.sent_with.clone(),
                failed.clone(),
            );
            kept.submit_keys.insert(name.clone(), newest);
            kept.submit_errors.insert(name, error);
        }
        Ok(FailedTurns {
            failed,
            failure,
            replayed: false,
        })
    }

    /// Returns the messages whose turns were closed, oldest first, each with its partial reply.
    pub(crate) fn cancel(
        &mut self,
        cancel: &CancelTurns,
    ) -> Result<Vec<(MessageId, Option<Message>)>> {
        let now = self.now;
        let kept = self.active(cancel.session_id)?;
        let open = kept.turns.iter().map(|turn| turn.message_at);
        let mut times: Vec<_> = open
            .filter(|at| {
                let id = kept.messages[at].id;
                cancel.message_id.is_none_or(|named| named == id)
            })
            .collect();
        times.sort();
        let mut cancelled = Vec::new();
        for at in times {
            let id = kept.messages[&at].id;
            let partial = cancel.partial.as_ref().filter(|it| it.message_id == id);
            let reply = partial.and_then(|partial| partial.reply.clone());
            let reply = reply.map(|reply| kept.reply_to(at, &reply, now));
            match &reply {
                Some(reply) => kept.answer(&[at], reply),
                None => drop(kept.end(at, TurnFailure::cancelled())),
            }
            cancelled.push((id, reply));
        }
        Ok(cancelled)
    }

    /// Returns the messages whose turns were closed.
    pub(crate) fn expire_turns(&mut self, id: SessionId) -> Vec<MessageId> {
        let now = self.now;
        let Some(kept) = self.sessions.get_mut(&id) else {
            return Vec::new();
        };
        if now < kept.session.expires_at {
            return Vec::new();
        }
        let waiting: Vec<Timestamp> = kept
            .turns
            .iter()
            .filter(|turn| !turn.begun)
            .map(|turn| turn.message_at)
            .collect();
        for at in &waiting {
            kept.end(*at, TurnFailure::session_expired());
        }
        waiting.iter().map(|at| kept.messages[at].id).collect()
    }
}

impl Kept {
    fn next_message_at(&self, now: Timestamp) -> Timestamp {
        match self.messages.last_key_value() {
            Some((last, _)) => now.max(*last + Millis(1)),
            None => now,
        }
    }

    /// Returns the times of the messages whose turns a submit closes, newest last: the one that it
    /// names, or else all that wait.
    fn selected(&self, selector: TurnSelector, closes_turns: bool) -> Vec<Timestamp> {
        if !closes_turns {
            return Vec::new();
        }
        let is_meant = |turn: &&Turn| {
            let message = &self.messages[&turn.message_at];
            match selector {
                TurnSelector::Turn(id) => turn_of(message) == Some(id),
                TurnSelector::Message(id) => turn.begun && message.id == id,
                TurnSelector::Waiting => turn.waits_until.is_some(),
            }
        };
        let meant = self.turns.iter().filter(is_meant);
        let mut times: Vec<Timestamp> = meant.map(|turn| turn.message_at).collect();
        times.sort();
        times
    }

    /// Whether the error of a key closed the named turn, which is open again.
    fn is_reopened(&self, name: &str, selector: TurnSelector, selected: &[Timestamp]) -> bool {
        self.submit_errors.contains_key(name)
            && matches!(selector, TurnSelector::Turn(_))
            && !selected.is_empty()
    }

    /// Returns the agent's reply to the message of a time.
    fn reply_to(&self, at: Timestamp, reply: &Reply, now: Timestamp) -> Message {
        let message = &self.messages[&at];
        let Role::User { reply_id, .. } = message.role else {
            unreachable!("the agent's messages open no turns")
        };
        Message {
            id: reply_id,
            session_id: self.session.id,
            author_id: self.session.agent_id.0,
            created_at: self.next_message_at(now),
            body: reply.body.clone(),
            role: Role::Agent {
                in_reply_to: Some(message.id),
                thought: reply.thought.clone(),
                actions: reply.actions.clone(),
            },
        }
    }

    /// Returns the error of a submit to a message whose turn was cancelled.
    fn turn_cancelled(&self, selector: TurnSelector) -> Option<RuleViolation> {
        let TurnSelector::Message(id) = selector else {
            return None;
        };
        let mut messages = self.messages.values();
        let message = messages.find(|message| message.id == id && !message.is_agent())?;
        let is_cancelled = match super::turn_state(message) {
            TurnState::Open | TurnState::Copied => false,
            TurnState::Replied(at) => {
                self.messages[&at].body.metadata.as_deref() == Some(r#"{"interrupted":true}"#)
            }
            TurnState::Failed(failure) => failure.code == "TURN_CANCELLED",
        };
        is_cancelled.then(|| RuleViolation::TurnCancelled(Box::new(message.clone())))
    }

    /// Returns the error of a submit that closes no turn.
    fn turn_closed(&self, selector: TurnSelector) -> RuleViolation {
        if let Some(cancelled) = self.turn_cancelled(selector) {
            return cancelled;
        }
        let mut messages = self.messages.values().rev();
        let named = messages.find(|message| match selector {
            TurnSelector::Turn(id) => turn_of(message) == Some(id),
            TurnSelector::Message(id) => message.id == id && !message.is_agent(),
            TurnSelector::Waiting => !message.is_agent(),
        });
        let reason = match named.map(super::turn_state) {
            None => ClosedReason::Deleted,
            Some(TurnState::Open | TurnState::Copied) => ClosedReason::Cancelled,
            Some(TurnState::Replied(_)) => ClosedReason::Answered,
            Some(TurnState::Failed(failure)) => match failure.code.as_str() {
                "AGENT_TIMEOUT" => ClosedReason::Timeout,
                "SESSION_EXPIRED" => ClosedReason::Expired,
                _ if failure.message == "declined" => ClosedReason::Answered,
                _ => ClosedReason::Cancelled,
            },
        };
        RuleViolation::TurnClosed {
            turn_id: match selector {
                TurnSelector::Turn(id) => Some(id),
                _ => None,
            },
            reason,
        }
    }

    /// Returns the message of a submit, which answers the message of a time, if any.
    fn submitted(&self, submit: &SubmitReply, at: Option<Timestamp>, now: Timestamp) -> Message {
        let asked = at.map(|at| &self.messages[&at]);
        let id = match asked.map(|asked| &asked.role) {
            Some(Role::User { reply_id, .. }) => *reply_id,
            _ => submit.message_id,
        };
        Message {
            id,
            session_id: self.session.id,
            author_id: self.session.agent_id.0,
            created_at: self.next_message_at(now),
            body: submit.reply.body.clone(),
            role: Role::Agent {
                in_reply_to: asked.map(|asked| asked.id).or(submit.in_reply_to),
                thought: submit.reply.thought.clone(),
                actions: submit.reply.actions.clone(),
            },
        }
    }

    /// Stores a reply, and closes the turns of the messages that it answers.
    fn answer(&mut self, answered: &[Timestamp], reply: &Message) {
        self.turns
            .retain(|turn| !answered.contains(&turn.message_at));
        self.messages.insert(reply.created_at, reply.clone());
        for at in answered {
            let message = self.messages.get_mut(at).unwrap();
            set_turn(message, TurnState::Replied(reply.created_at));
        }
    }

    /// Closes a turn without a reply.
    fn end(&mut self, at: Timestamp, failure: TurnFailure) -> TurnResult {
        self.turns.retain(|turn| turn.message_at != at);
        let message = self.messages.get_mut(&at).unwrap();
        set_turn(message, TurnState::Failed(failure.clone()));
        TurnResult::Failed(failure.message)
    }

    /// Returns how a closed turn ended.
    fn ended(&self, at: Timestamp) -> TurnResult {
        let Some(Role::User { turn, .. }) = self.messages.get(&at).map(|message| &message.role)
        else {
            return TurnResult::Gone;
        };
        match turn {
            TurnState::Open | TurnState::Copied => TurnResult::Gone,
            TurnState::Replied(at) => TurnResult::Replied(self.messages[at].clone()),
            TurnState::Failed(failure) => TurnResult::Failed(failure.message.clone()),
        }
    }
}

fn has_turn_slot(kept: &Kept, send: &SendMessage, server_is_full: bool) -> Result<()> {
    if !send.has_agent {
        return Err(RuleViolation::AgentNotFound(kept.session.agent_id));
    }
    if kept.turns.len() >= 16 {
        return Err(RuleViolation::SessionBusy { limit: 16 });
    }
    if server_is_full {
        return Err(RuleViolation::ServerBusy);
    }
    Ok(())
}

fn new_turn(message_at: Timestamp, is_alone: bool, send: &SendMessage, now: Timestamp) -> Turn {
    let runs = is_alone && send.beginning == TurnStart::AtOnce;
    let waits_until = match send.beginning {
        TurnStart::Waiting(span) => Some(now + span),
        _ => None,
    };
    Turn {
        message_at,
        begun: runs || waits_until.is_some(),
        running: runs,
        crashes: 0,
        waits_until,
    }
}

fn set_turn(message: &mut Message, state: TurnState) {
    if let Role::User { turn, .. } = &mut message.role {
        *turn = state;
    }
}

fn turn_of(message: &Message) -> Option<TurnId> {
    match message.role {
        Role::User { turn_id, .. } => Some(turn_id),
        Role::Agent { .. } => None,
    }
}

fn has_same_fields(one: &Reply, other: &Reply) -> bool {
    let value = |text: &Option<String>| text.as_deref().map(json);
    same_body(&one.body, &other.body)
        && one.thought == other.thought
        && value(&one.actions) == value(&other.actions)
        && value(&one.session_metadata) == value(&other.session_metadata)
}

fn same_body(one: &Body, other: &Body) -> bool {
    let value = |text: &Option<String>| text.as_deref().map(json);
    one.content == other.content
        && value(&one.metadata) == value(&other.metadata)
        && value(&one.attachments) == value(&other.attachments)
}

fn same_reply(reply: &Reply, stored: &Message) -> bool {
    let Role::Agent {
        thought, actions, ..
    } = &stored.role
    else {
        unreachable!("a submit's key names what the agent said")
    };
    let value = |text: &Option<String>| text.as_deref().map(json);
    same_body(&reply.body, &stored.body)
        && reply.thought == *thought
        && value(&reply.actions) == value(actions)
}
