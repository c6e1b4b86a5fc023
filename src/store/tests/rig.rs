//! The fixture of the store's tests.

use super::super::command::{AdvanceCounters, EraseUser};
use super::reference::{Contents, StoredKey, Turn};
use super::*;
use crate::domain::archive::Quarantined;

/// A store on a file of its own, with a clock that only the test moves.
///
/// When it is dropped at the end of a test, the whole file must be sound.
pub(super) struct Rig {
    pub(super) store: Option<Store>,
    pub(super) dir: TempDir,
    /// Replaces the file in tests of a failing disk.
    pub(super) disk: Option<Disk>,
    pub(super) rules: Rules,
    pub(super) clock: Clock,
    pub(super) hand: ClockHand,
    pub(super) bus: EventBus,
    pub(super) runtime: Runtime,
    pub(super) faults: Vec<String>,
    pub(super) last_id: u128,
}

impl Rig {
    /// Returns an open, empty store.
    pub(super) fn new() -> Self {
        Self::with_rules(rules())
    }

    pub(super) fn with_rules(rules: Rules) -> Self {
        let mut rig = Self::closed(rules);
        let found = rig.open();
        assert_eq!((found.sessions, found.clean_stop), (0, None));
        rig
    }

    /// Returns a store on a disk that the test can break.
    pub(super) fn on_disk(disk: &Disk) -> Self {
        let mut rig = Self::closed(rules());
        rig.disk = Some(disk.clone());
        rig.open();
        rig
    }

    /// Stores about 1.1 MiB, so that the file has 2 MiB and need not grow for what a test stores
    /// next.
    pub(super) fn grow_file(&mut self) {
        let session = self.create();
        let content = "x".repeat(64 * 1024);
        for _ in 0..18 {
            let sent = self.send(session.id, &content);
            self.fail(&sent.message);
        }
    }

    /// Returns a rig without an open store or a file.
    pub(super) fn closed(rules: Rules) -> Self {
        let (clock, hand) = Clock::manual(START);
        Self {
            store: None,
            dir: temp_dir(),
            disk: None,
            rules,
            clock,
            hand,
            bus: EventBus::default(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap(),
            faults: Vec::new(),
            last_id: 0,
        }
    }

    // The file

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("sessiond.redb")
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    pub(super) fn try_open(&mut self) -> Result<OpenReport, OpenError> {
        let (rules, clock, bus) = (self.rules, self.clock.clone(), self.bus.clone());
        let (store, found) = match &self.disk {
            Some(disk) => Store::open_with(disk.file(), None, rules, clock, bus)?,
            None => Store::open(&self.path(), CACHE_BYTES, rules, clock, bus)?,
        };
        self.store = Some(store);
        Ok(found)
    }

    pub(super) fn open(&mut self) -> OpenReport {
        self.try_open().unwrap()
    }

    /// Stops like a server.
    pub(super) fn close(&mut self, clear: bool) {
        let store = self.store.take().unwrap();
        assert!(self.runtime.block_on(store.close(clear)));
    }

    /// Drops the handle without a clean stop.
    pub(super) fn drop_store(&mut self) {
        drop_and_wait(self.store.take().unwrap());
    }

    /// Leaves the file as `kill -9` would: with its content of this moment.
    pub(super) fn kill(&mut self) {
        let bytes = self.bytes();
        self.drop_store();
        std::fs::write(self.path(), bytes).unwrap();
    }

    /// Stops like a server, and starts again.
    pub(super) fn restart(&mut self) -> OpenReport {
        self.close(false);
        self.open()
    }

    /// Edits the file while the store is closed.
    pub(super) fn edit(&self, change: impl FnOnce(&WriteTransaction)) {
        assert!(self.store.is_none(), "the store is open");
        edit(&self.path(), change);
    }

    // Calls

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub(super) fn submit<C: Command>(&self, command: C) -> Result<C::Output, SubmitError> {
        self.wait(self.store().submit(command))
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>) -> T {
        self.store().read(read).unwrap()
    }

    pub(super) fn query<T>(&self, query: impl Future<Output = ReadResult<T>>) -> T {
        self.wait(query).unwrap()
    }

    pub(super) fn refusal<C: Command<Output: std::fmt::Debug>>(&self, command: C) -> RuleViolation {
        match self.submit(command) {
            Err(SubmitError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock, also back.
    pub(super) fn pass(&self, span: Millis) {
        self.hand.set(self.now() + span);
    }

    pub(super) fn next_id<T: From<u128>>(&mut self) -> T {
        self.last_id += 1;
        T::from(self.last_id)
    }

    // Sessions

    pub(super) fn creation(&mut self) -> CreateSession {
        let new = NewSession {
            id: self.next_id(),
            agent_id: AgentId::from(ELIZA),
            user_id: UserId::from(ALICE),
            timeout: TIMEOUT,
            metadata: r#"{"username":"Alice"}"#.into(),
            create_key: None,
        };
        CreateSession {
            new,
            requested_timeout: TimeoutOverrides::default(),
            has_agent: true,
            continuation: None,
        }
    }

    /// Returns the creation of a session that continues another.
    pub(super) fn continuing(
        &mut self,
        source: SessionId,
        up_to: Option<(MessageId, Timestamp)>,
    ) -> CreateSession {
        let mut creation = self.creation();
        creation.continuation = Some(Continuation {
            from: ContinueFrom {
                session_id: source,
                up_to: up_to.map(|(id, _)| id),
            },
            up_to_at: up_to.map(|(_, at)| at),
            ids: NewIds(Box::new(copy_ids(creation.new.id))),
        });
        creation
    }

    pub(super) fn keyed_creation(&mut self, name: &str) -> CreateSession {
        let mut creation = self.creation();
        creation.new.create_key = Some(key(name));
        creation
    }

    pub(super) fn create(&mut self) -> Session {
        let creation = self.creation();
        self.submit(creation).unwrap().session
    }

    pub(super) fn create_with(&mut self, timeout: TimeoutConfig) -> Session {
        let mut creation = self.creation();
        creation.new.timeout = timeout;
        self.submit(creation).unwrap().session
    }

    pub(super) fn session(&self, id: SessionId) -> Option<Session> {
        self.query(self.store().session(id))
    }

    /// Every session, active or expired, newest first.
    pub(super) fn all_sessions(&self) -> Vec<Session> {
        self.query(self.store().sessions(None, None, 10_000)).0
    }

    pub(super) fn session_count(&self) -> u64 {
        self.row_counts().sessions
    }

    pub(super) fn sessions_with_turns(&self) -> Vec<SessionId> {
        self.query(self.store().sessions_with_open_turns())
    }

    pub(super) fn row_counts(&self) -> RowCounts {
        self.query(self.store().row_counts())
    }

    pub(super) fn stats(&self) -> Stats {
        self.query(self.store().stats(self.now()))
    }

    // Messages

    pub(super) fn message(&mut self, session: SessionId, content: &str) -> SendMessage {
        SendMessage {
            session_id: session,
            message_id: self.next_id(),
            turn_id: self.next_id(),
            reply_id: self.next_id(),
            body: says(content),
            sender: Sender::default(),
            sent_by: None,
            key: None,
            has_agent: true,
            beginning: TurnStart::InTurn,
        }
    }

    pub(super) fn keyed_message(
        &mut self,
        session: SessionId,
        content: &str,
        name: &str,
    ) -> SendMessage {
        let mut message = self.message(session, content);
        message.key = Some(key(name));
        message
    }

    pub(super) fn send(&mut self, session: SessionId, content: &str) -> Sent {
        let message = self.message(session, content);
        self.submit(message).unwrap()
    }

    /// Sends a message and begins its turn.
    pub(super) fn ask(&mut self, session: SessionId, content: &str) -> Sent {
        let mut message = self.message(session, content);
        message.beginning = TurnStart::AtOnce;
        self.submit(message).unwrap()
    }

    pub(super) fn reply(&self, message: &Message, content: &str) -> Arc<Message> {
        match self.submit(answer(message, content)).unwrap() {
            CloseOutcome::Replied(reply) => reply,
            other => panic!("no reply: {other:?}"),
        }
    }

    pub(super) fn fail(&self, message: &Message) -> CloseOutcome {
        self.submit(failure(message)).unwrap()
    }

    pub(super) fn stored(&self, message: &Message) -> Message {
        self.read(|reader| reader.message(message.session_id, message.created_at))
            .unwrap()
    }

    pub(super) fn next_turn(&self, session: SessionId) -> Option<OpenTurn> {
        self.read(|reader| reader.next_turn(session))
    }

    /// In the order of execution.
    pub(super) fn open_turns(&self, session: SessionId) -> Vec<OpenTurn> {
        self.read(|reader| reader.open_turns(session)?.collect())
    }

    /// Every message of a session, newest first.
    pub(super) fn transcript(&self, session: SessionId) -> Vec<Message> {
        self.page(session, None, None, 10_000).messages
    }

    pub(super) fn page(
        &self,
        session: SessionId,
        before: Option<Timestamp>,
        after: Option<Timestamp>,
        limit: usize,
    ) -> Page {
        let request = PageRequest {
            before,
            after,
            limit,
        };
        self.query(self.store().message_page(session, request))
    }

    /// Purges until nothing is left; returns the number of slices and the deleted sessions.
    pub(super) fn purge(&self) -> (usize, Vec<SessionId>) {
        let mut slices = 0;
        let mut sessions = Vec::new();
        let mut next = Some(Purge::default());
        while let Some(purge) = next {
            let purged = self.submit(purge).unwrap();
            sessions.extend(purged.sessions);
            next = purged.next;
            slices += 1;
        }
        (slices, sessions)
    }

    /// Erases everything of a user; returns the sessions that are gone, and how many were active or
    /// retained.
    pub(super) fn erase_user(&self, user: UserId) -> (Vec<SessionId>, u64) {
        let (mut sessions, mut deleted) = (Vec::new(), 0);
        let mut next = Some(EraseUser::new(user));
        while let Some(slice) = next {
            let erased = self.submit(slice).unwrap();
            sessions.extend(erased.sessions);
            deleted += erased.deleted;
            next = erased.next;
        }
        (sessions, deleted)
    }

    /// Whether the last commit succeeded.
    pub(super) fn can_commit(&self) -> bool {
        !self.store().health().commit_failed
    }

    /// Waits, in real time, until the store has found out on its own that it can write again.
    pub(super) fn wait_until_healthy(&self) {
        self.wait(async {
            for _ in 0..6_000 {
                if self.can_commit() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("the store does not recover");
        });
    }

    // Damage

    /// Waits until the writer has quarantined the damage that was found.
    pub(super) fn settle(&self) {
        // It does so between two commands.
        for _ in 0..2 {
            self.submit(AdvanceCounters).unwrap();
        }
    }

    /// Returns the quarantined records.
    pub(super) fn quarantined(&self) -> Vec<Quarantined> {
        let mut found = Vec::new();
        self.read(|reader| {
            check::quarantined(&reader.snapshot.txn, &mut |record| found.push(record))
        });
        found
    }

    // What is in the file

    pub(super) fn rows<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: TableDefinition<K, V>,
    ) -> u64 {
        self.read(|reader| Ok(reader.snapshot.txn.open_table(table)?.len()?))
    }

    /// Returns the rows of a table of idempotency keys.
    fn keys(&self, table: TableDefinition<(u128, &'static str), &'static [u8]>) -> Vec<StoredKey> {
        self.read(|reader| {
            let mut keys = Vec::new();
            for row in reader.snapshot.txn.open_table(table)?.iter()? {
                let (key, bytes) = row?;
                let (session, name) = key.value();
                let at = record::decode_key_time(bytes.value())?;
                keys.push((session.into(), name.to_owned(), at));
            }
            Ok(keys)
        })
    }

    /// The index of the turns that wait for a submitted reply.
    pub(super) fn waiting(&self) -> Vec<(AgentId, WaitingPosition)> {
        self.read(|reader| {
            let mut waiting = Vec::new();
            for row in reader
                .snapshot
                .txn
                .open_table(tables::WAITING_TURNS)?
                .iter()?
            {
                let key = row?.0.value();
                waiting.push((AgentId::from(key.0), tables::waiting_position(key)));
            }
            Ok(waiting)
        })
    }

    /// Everything stored about the sessions that is visible from outside.
    pub(super) fn contents(&self) -> Contents {
        let sessions = self.all_sessions();
        let verified = self.read(|reader| reader.meta_counter(tables::meta::VERIFIED));
        let ids = || sessions.iter().map(|session| session.id);
        let turns_of = |id| self.open_turns(id).into_iter().map(Turn::from).collect();
        Contents {
            messages: ids().map(|id| self.transcript(id)).collect(),
            turns: ids().map(turns_of).collect(),
            keys: self.keys(tables::MESSAGE_KEYS),
            submit_keys: self.keys(tables::SUBMIT_KEYS),
            waiting: self.waiting(),
            maintenance: (
                verified.map(|record| Verified {
                    at: record.point,
                    damaged_pages: record.rows,
                }),
                self.query(self.store().storage()).last_backup,
            ),
            sessions,
        }
    }

    /// Returns the number of rows of all tables but `meta`.
    pub(super) fn all_rows(&self) -> u64 {
        self.rows(tables::SESSIONS)
            + self.rows(tables::DEADLINES)
            + self.rows(tables::USER_SESSIONS)
            + self.rows(tables::CREATE_KEYS)
            + self.rows(tables::MESSAGES)
            + self.rows(tables::MESSAGE_KEYS)
            + self.rows(tables::SUBMIT_KEYS)
            + self.rows(tables::REMOTE_SESSIONS)
            + self.rows(tables::OPEN_TURNS)
            + self.rows(tables::WAITING_TURNS)
            + self.rows(tables::DELETIONS)
            + self.rows(tables::DAMAGED)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if self.store.is_none() {
            self.open();
        }
        let mut found = self.store().check().unwrap();
        found.sort();
        self.faults.sort();
        assert_eq!(found, self.faults);
        self.drop_store();
    }
}

/// Returns the ids of the copies in a session.
pub(super) fn copy_ids(target: SessionId) -> impl FnMut() -> uuid::Uuid + Send {
    let mut next = u128::from(target) << 64;
    move || {
        next += 1;
        uuid::Uuid::from_u128(next)
    }
}
