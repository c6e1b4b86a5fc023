//! Verification of the live file.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::super::command::{DeleteSession, Heartbeat};
use super::reference::Contents;
use super::*;

/// The duration of the verification under load; longer in manual runs.
const LOAD_SECONDS: &str = "SESSIOND_SCRUB_LOAD_SECONDS";

/// The number of bits of the quiet file to flip.
const FLIPS: usize = 100;

impl Rig {
    fn verify(&self) -> Findings {
        self.store().verify(&CancellationToken::new()).unwrap()
    }

    /// Verifies and records the result, like the server.
    fn verify_and_record(&self) -> Findings {
        let findings = self.verify();
        let verified = Verified {
            at: self.now(),
            damaged_pages: findings.damaged_pages,
        };
        self.wait(self.store().record_verification(verified))
            .unwrap();
        findings
    }

    fn damaged_pages(&self) -> u64 {
        self.store().health().damaged_pages
    }
}

/// Returns the file of a stopped server with every kind of record and hardly a free page.
fn quiet_file() -> (Vec<u8>, Contents) {
    let mut rig = Rig::new();
    for number in 0..40 {
        let mut creation = rig.keyed_creation(&format!("create-{number}"));
        creation.new.user_id = UserId::from(number + 1);
        let session = rig.submit(creation).unwrap().session;
        for turn in 0..4 {
            let content = "hello ".repeat(20 + number as usize);
            let message = rig.keyed_message(session.id, &content, &format!("key-{turn}"));
            let sent = rig.submit(message).unwrap();
            if turn < 3 {
                rig.reply(&sent.message, "well ");
            }
        }
    }
    let contents = rig.contents();
    rig.close(false);
    super::compact(&rig.path()).unwrap();
    let bytes = rig.bytes();
    rig.open();
    (bytes, contents)
}

/// The effect of a flipped bit.
#[derive(Debug, PartialEq, Eq)]
enum FlipEffect {
    Refused,
    OpenReport,
    /// Everything is read unchanged: the bit was unused.
    Harmless,
}

fn effect_of(bytes: &[u8], contents: &Contents, what: &str) -> FlipEffect {
    let mut rig = Rig::closed(rules());
    std::fs::write(rig.path(), bytes).unwrap();
    if rig.try_open().is_err() {
        std::fs::remove_file(rig.path()).unwrap();
        return FlipEffect::Refused;
    }
    let findings = rig.verify();
    let is_told = findings.damaged_pages > 0 || rig.store().health().undecodable_sessions > 0;
    let outcome = if is_told {
        FlipEffect::OpenReport
    } else {
        assert!(rig.contents() == *contents, "{what}: served as healthy");
        FlipEffect::Harmless
    };
    // The rest is not checked when the rig is dropped.
    rig.drop_store();
    std::fs::remove_file(rig.path()).unwrap();
    outcome
}

#[test]
fn a_flipped_bit_of_a_quiet_file_is_refused_or_found() {
    let (bytes, contents) = quiet_file();
    let mut places = BTreeSet::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while places.len() < FLIPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let place = usize::try_from(state % bytes.len() as u64).unwrap();
        // A page of zeros is empty.
        let page = place / 4096 * 4096;
        let end = (page + 4096).min(bytes.len());
        if bytes[page..end].iter().any(|byte| *byte != 0) {
            places.insert((place, u32::try_from(state >> 61).unwrap()));
        }
    }
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for (place, bit) in places {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << bit;
        match effect_of(&flipped, &contents, &format!("bit {bit} of byte {place}")) {
            FlipEffect::Refused => refused += 1,
            FlipEffect::OpenReport => found += 1,
            FlipEffect::Harmless => harmless += 1,
        }
    }
    println!("{refused} refused, {found} found, {harmless} harmless");
    assert!(
        refused + found > FLIPS / 2,
        "{refused}, {found}, {harmless}"
    );
}

/// Flips bits of the open file wherever it contains a text.
fn flip_text(rig: &Rig, text: &[u8]) -> usize {
    use std::os::unix::fs::FileExt as _;

    let bytes = rig.bytes();
    let places = bytes.windows(text.len()).enumerate();
    let places: Vec<_> = places
        .filter_map(|(at, window)| (window == text).then_some(at))
        .collect();
    let file = File::options().write(true).open(rig.path()).unwrap();
    for at in &places {
        file.write_all_at(&[bytes[*at] ^ 1], *at as u64).unwrap();
    }
    places.len()
}

/// Returns a store with a message that fills a page of its own.
fn rig_with_needle() -> (Rig, Message) {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.send(session.id, &"a needle ".repeat(500));
    rig.fail(&sent.message);
    let message = rig.stored(&sent.message);
    (rig, message)
}

#[test]
fn an_undecodable_record_is_found_and_quarantined_before_it_is_read() {
    let (mut rig, message) = rig_with_needle();
    assert_eq!(rig.verify_and_record().undecodable_records, 0);
    rig.close(false);
    assert!(flip_text(&rig, b"a needle ") > 0);
    rig.open();
    assert_eq!(
        rig.store().health().undecodable_sessions,
        0,
        "unknown has looked"
    );

    let findings = rig.verify_and_record();
    assert_eq!(
        (findings.undecodable_records, findings.damaged_pages),
        (1, 0)
    );
    assert_eq!(rig.store().health().undecodable_sessions, 1);
    assert_eq!(rig.quarantined().len(), 1);

    // The quarantined record affects no other record.
    let findings = rig.verify_and_record();
    assert_eq!(
        (findings.undecodable_records, findings.damaged_pages),
        (0, 0)
    );
    rig.submit(DeleteSession(message.session_id)).unwrap();
    rig.purge();
    assert_eq!(rig.store().health().undecodable_sessions, 0);
}

#[test]
fn a_record_that_is_damaged_only_on_the_disk_is_rewritten_from_memory() {
    let (rig, message) = rig_with_needle();
    assert!(flip_text(&rig, b"a needle ") > 0);
    assert_eq!(rig.verify_and_record().undecodable_records, 1);
    assert_eq!(rig.store().health().undecodable_sessions, 0);
    assert_eq!(rig.stored(&message), message);
    let findings = rig.verify_and_record();
    assert_eq!(
        (findings.undecodable_records, findings.damaged_pages),
        (0, 0)
    );
}

#[test]
fn damage_is_remembered_across_restarts_until_a_verification_finds_none() {
    let mut rig = Rig::new();
    for number in 0..300 {
        let mut creation = rig.creation();
        creation.new.user_id = UserId::from(number + 1001);
        rig.submit(creation).unwrap();
    }
    rig.close(false);
    let sound = rig.bytes();
    // A bit of a key in an index, which has no checksum other than that of its page.
    let user = u128::to_le_bytes(1150);
    let place = sound
        .windows(32)
        .position(|key| key[..16] == user && key[16..] == u128::to_le_bytes(150))
        .expect("the row of the index");
    let mut damaged = sound.clone();
    damaged[place + 16] ^= 1;
    std::fs::write(rig.path(), &damaged).unwrap();

    rig.open();
    assert_eq!(rig.damaged_pages(), 0, "unknown has looked");
    assert!(rig.verify_and_record().damaged_pages > 0);
    assert!(rig.damaged_pages() > 0);
    rig.restart();
    assert!(rig.damaged_pages() > 0, "after a restart");
    rig.kill();
    rig.open();
    assert!(rig.damaged_pages() > 0, "after a crash");

    // The operator repairs the file outside the server.
    rig.close(false);
    let mut repaired = rig.bytes();
    let row = [&user[..], &damaged[place + 16..place + 32]].concat();
    while let Some(at) = repaired.windows(32).position(|key| key == row) {
        repaired[at + 16] ^= 1;
    }
    std::fs::write(rig.path(), &repaired).unwrap();
    rig.open();
    assert!(rig.damaged_pages() > 0, "no verification has run since");
    assert_eq!(rig.verify_and_record().faults, [""; 0]);
    assert_eq!(rig.damaged_pages(), 0);
    rig.restart();
    assert_eq!(rig.damaged_pages(), 0);
}

#[test]
fn a_stop_ends_a_verification() {
    let mut rig = Rig::new();
    for _ in 0..8 {
        rig.grow_file();
    }
    let began = Instant::now();
    rig.verify();
    let whole = began.elapsed();
    // Before it begins, and during it.
    for part in [0, 2, 4, 8] {
        let stop = CancellationToken::new();
        let (stopped, took) = std::thread::scope(|scope| {
            let pass = scope.spawn(|| rig.store().verify(&stop));
            if part > 0 {
                std::thread::sleep(whole / part);
            }
            stop.cancel();
            let cancelled = Instant::now();
            (pass.join().unwrap(), cancelled.elapsed())
        });
        // It may have ended before.
        assert!(
            matches!(stopped, Err(ScrubError::Stopped) | Ok(_)),
            "{stopped:?}"
        );
        assert!(took < Duration::from_secs(1), "{took:?} of {whole:?}");
        assert_eq!(rig.damaged_pages(), 0);
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = rig.store().verify(&stop);
    assert!(matches!(stopped, Err(ScrubError::Stopped)), "{stopped:?}");
}

#[test]
fn a_verification_under_full_load_finds_nothing_and_blocks_no_caller() {
    let seconds = std::env::var(LOAD_SECONDS).map_or(2, |text| text.parse().unwrap());
    let limit = Duration::from_secs(seconds);
    let mut rig = Rig::new();
    rig.grow_file();
    let sessions: Vec<SessionId> = (0..64).map(|_| rig.create().id).collect();
    let is_over = AtomicBool::new(false);
    let (rig, is_over) = (&rig, &is_over);
    let (mut passes, mut longest) = (0, Duration::ZERO);
    let start = rig.query(rig.store().storage()).bytes;
    std::thread::scope(|scope| {
        for sessions in sessions.chunks(16) {
            let (store, first) = (rig.store(), sessions[0]);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                let mut number = u128::from(first) << 64;
                while !is_over.load(Ordering::Relaxed) {
                    let sends = sessions.iter().map(|session| {
                        number += 3;
                        store.submit(SendMessage {
                            session_id: *session,
                            message_id: number.into(),
                            turn_id: (number + 1).into(),
                            reply_id: (number + 2).into(),
                            body: says("hello under load"),
                            sender: Sender::default(),
                            sent_by: None,
                            key: None,
                            has_agent: true,
                            beginning: TurnStart::AtOnce,
                        })
                    });
                    for sent in runtime.block_on(futures_util::future::join_all(sends)) {
                        let message = sent.unwrap().message;
                        runtime.block_on(store.submit(failure(&message))).unwrap();
                    }
                    runtime.block_on(store.submit(Heartbeat(first))).unwrap();
                }
            });
        }
        let since = Instant::now();
        while since.elapsed() < limit || passes < 2 {
            let began = Instant::now();
            let findings = rig.verify();
            longest = longest.max(began.elapsed());
            assert_eq!(findings.faults, [""; 0], "pass {passes}");
            assert_eq!(findings.undecodable_records, 0, "pass {passes}");
            passes += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!(
        "{passes} passes, the longest took {longest:?}; the file grew from {start} to {} bytes",
        rig.query(rig.store().storage()).bytes
    );
}
