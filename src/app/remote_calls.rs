//! Renewing and deleting remote sessions, in the background.

use std::future::Future;
use std::sync::Arc;

use super::application::App;
use super::remote_sessions::DEADLINE;
use crate::agents::backend::RemoteCall;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::Millis;
use crate::store::command::RemoteSession;

/// The longest life that `ElizaOS` grants by default. A session that expired longer ago than this
/// has no remote session left: its messages and heartbeats, which renew that one, ended before.
const LONGEST_LIFE: Millis = Millis(24 * 60 * 60_000);

impl App {
    /// Renews the remote session of a session, if it has one and its renewal is due. Messages renew
    /// it by themselves, and replace it if this fails.
    pub(super) async fn renew_remote(&self, session: &Session) {
        let (id, now) = (session.id, self.now());
        let Some(agent) = self.agents.get(session.agent_id) else {
            return;
        };
        if !agent.backend.context_needs().remote_session || !self.remotes.schedule().is_due(id, now)
        {
            return;
        }
        let name = self.store.remote_session(id).await.ok().flatten();
        let Some(renewal) = name.and_then(|name| agent.backend.renew(name)) else {
            return;
        };
        let Ok(permit) = Arc::clone(&self.remotes.renewals).try_acquire_owned() else {
            tracing::debug!(session = %id, "the remote session is not renewed: too many renewals are in progress");
            return;
        };
        if self.remotes.schedule().start(id, now) {
            let remotes = Arc::clone(&self.remotes);
            let granted = move |life| {
                if let Some(life) = life {
                    remotes.schedule().granted(id, life);
                }
            };
            self.call_remote("renewed", Some(id), async { permit }, renewal, granted);
        }
    }

    /// Deletes the remote sessions of expired sessions, unless they have expired there too.
    pub(super) fn delete_expired_remotes(&self, remotes: Vec<RemoteSession>) {
        if self.store.rules().retention < LONGEST_LIFE {
            self.delete_remotes(remotes);
        }
    }

    /// Deletes the remote sessions of deleted sessions.
    pub(super) fn delete_remotes(&self, remotes: impl IntoIterator<Item = RemoteSession>) {
        for RemoteSession { agent_id, name } in remotes {
            let agent = self.agents.get(agent_id);
            let Some(deletion) = agent.and_then(|agent| agent.backend.delete(name)) else {
                continue;
            };
            let queued = Arc::clone(&self.remotes.queued_deletions).try_acquire_owned();
            let may_delete = || self.remotes.schedule().deletions.take(self.now());
            let Some(queued) = queued.ok().filter(|_| may_delete()) else {
                tracing::debug!(
                    "a remote session is not deleted: too many deletions are in progress"
                );
                continue;
            };
            let running = Arc::clone(&self.remotes.deletions).acquire_owned();
            let permits = async move { (queued, running.await) };
            self.call_remote("deleted", None, permits, deletion, drop);
        }
    }

    /// Calls a remote server in the background, once there is a permit.
    fn call_remote<T: Send + 'static>(
        &self,
        done: &'static str,
        session: Option<SessionId>,
        permit: impl Future<Output: Send> + Send + 'static,
        call: RemoteCall<T>,
        succeeded: impl FnOnce(T) + Send + 'static,
    ) {
        let (clock, stopping) = (self.clock.clone(), self.stopping.clone());
        let calling = async move {
            let _permit = permit.await;
            let session = session.map(tracing::field::display);
            match clock.timeout(DEADLINE, call).await {
                Some(Ok(output)) => succeeded(output),
                Some(Err(error)) => {
                    tracing::debug!(session, %error, "a remote session was not {done}");
                }
                None => tracing::debug!(session, "a remote session was not {done} in time"),
            }
        };
        self.tasks
            .spawn(async move { stopping.run_until_cancelled(calling).await });
    }
}
