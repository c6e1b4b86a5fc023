//! The [`Reference`] for metadata and copies of conversations.

use serde_json::Value;

use super::*;

impl Reference {
    pub(crate) fn update_metadata(&mut self, id: SessionId, patch: &str) -> Result<Session> {
        let session = &mut self.active(id)?.session;
        merge_into(session, patch);
        Ok(session.clone())
    }

    /// Returns what a new session begins with.
    pub(super) fn continued(
        &mut self,
        new: &NewSession,
        continuation: &Continuation,
    ) -> Result<(BTreeMap<Timestamp, Message>, ContinuedFrom)> {
        let source = continuation.from.session_id;
        let kept = self.kept(source)?;
        if kept.session.user_id != new.user_id || kept.session.agent_id != new.agent_id {
            return Err(RuleViolation::SessionNotFound(source));
        }
        let mut messages: Vec<Message> = kept.messages.values().cloned().collect();
        if let Some(wanted) = continuation.from.up_to {
            let last = messages.iter().position(|message| message.id == wanted);
            let last = last.ok_or(RuleViolation::MessageNotFound(wanted))?;
            messages.truncate(last + 1);
        }
        let all = messages.len();
        messages.drain(..all.saturating_sub(1_000));
        let continued = ContinuedFrom {
            session_id: source,
            message_id: messages.last().map(|message| message.id),
            copied: u32::try_from(messages.len()).unwrap(),
            complete: messages.len() == all,
        };
        let copies = copies(&messages, new.id);
        Ok((copies, continued))
    }
}

/// Returns the copies. The ids are taken in the order in which the store takes them.
fn copies(messages: &[Message], target: SessionId) -> BTreeMap<Timestamp, Message> {
    let mut ids = rig::copy_ids(target);
    let mut new_ids: HashMap<MessageId, MessageId> = messages
        .iter()
        .map(|message| (message.id, MessageId(ids())))
        .collect();
    let is_there = |at: &Timestamp| messages.iter().any(|message| message.created_at == *at);
    let mut copies = BTreeMap::new();
    for message in messages {
        let mut copy = message.clone();
        copy.id = new_ids[&message.id];
        copy.session_id = target;
        match &mut copy.role {
            Role::User {
                turn_id,
                reply_id,
                turn,
                ..
            } => {
                *turn_id = TurnId(ids());
                *reply_id = *new_ids.entry(*reply_id).or_insert_with(|| MessageId(ids()));
                let stays = match turn {
                    TurnState::Open | TurnState::Copied => false,
                    TurnState::Failed(_) => true,
                    TurnState::Replied(at) => is_there(at),
                };
                if !stays {
                    *turn = TurnState::Copied;
                }
            }
            Role::Agent { in_reply_to, .. } => {
                let named = in_reply_to.filter(|id| messages.iter().any(|it| it.id == *id));
                *in_reply_to = named.map(|id| new_ids[&id]);
            }
        }
        copies.insert(copy.created_at, copy);
    }
    copies
}

/// Merges a patch that is known to fit.
pub(super) fn merge_into(session: &mut Session, patch: &str) {
    let (before, patch) = (json(&session.metadata), json(patch));
    let after = merge_patch(before.clone(), &patch);
    if after != before {
        session.metadata = after.to_string();
    }
}

/// RFC 7396, as its pseudocode says.
fn merge_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = match target {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.shift_remove(name);
        } else {
            let member = target.get(name).cloned().unwrap_or(Value::Null);
            target.insert(name.clone(), merge_patch(member, value));
        }
    }
    Value::Object(target)
}
