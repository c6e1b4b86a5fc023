//! Acknowledged writes survive a power cut at any moment.
//!
//! Runs random commands on a disk that logs its operations. Then, for every sync of that run,
//! constructs what may be left of the disk: everything since the previous sync is lost, reordered
//! or torn. Each of these disks is opened, and the power is cut again during that. The content must
//! be exactly what was acknowledged, or that and all of what was in flight, as the [`Reference`]
//! has it after the same calls.

use super::super::command::{CancelTurns, SubmitReply};
use super::disk::Done;
use super::pair::{Check, Pair};
use super::reference::{Contents, Reference};
use super::*;

/// The number of commands of a run, each of which takes about a fiftieth of a second.
const COMMANDS: &str = "SESSIOND_POWER_CUT_COMMANDS";

/// The seed of an earlier run.
const SEED: &str = "SESSIOND_POWER_CUT_SEED";

/// The smallest unit that a disk writes atomically.
const SECTOR: usize = 512;

/// Returns the content after a crash and a start.
fn after_a_crash(reference: &Reference) -> Contents {
    let mut reference = reference.clone();
    reference.restart(true);
    reference.contents()
}

/// Pseudo-random numbers, the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

fn from_environment(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

/// Runs a random command on a random session.
fn act(pair: &mut Pair, dice: &mut Dice) -> Check {
    let sessions = pair.reference.session_ids();
    if sessions.is_empty() || dice.below(10) == 0 {
        let name = format!("create{}", dice.below(1000));
        let creation = pair.rig.keyed_creation(&name);
        return pair.create(creation);
    }
    let id = sessions[dice.below(sessions.len())];
    pair.pass(Millis(dice.below(10_000).try_into().unwrap()));
    match dice.below(30) {
        22 => {
            let patch = format!(r#"{{"title":"{}","topic":null}}"#, dice.below(1000));
            pair.update_metadata(id, &patch)
        }
        23 | 24 => {
            let name = format!("continued{}", dice.below(1000));
            let mut creation = pair.rig.continuing(id, None);
            creation.new.create_key = Some(key(&name));
            pair.create(creation)
        }
        25 => pair.cancel(CancelTurns {
            session_id: id,
            message_id: None,
            partial: None,
        }),
        26 | 27 if sessions.len() > 2 => pair.export(id, true),
        28 | 29 => pair.import(vec![dice.below(2), dice.below(4)]),
        20 => {
            pair.maintain(dice.below(2) == 0, dice.below(1000) as u64);
            Ok(())
        }
        // Of so few sessions, it takes one transaction.
        21 => pair.erase_user(UserId::from(ALICE)),
        0 => pair.heartbeat(id),
        1 => pair.renew(id),
        2 => {
            let minutes = [30.0, 60.0, 90.0][dice.below(3)];
            let patch = TimeoutOverrides {
                timeout_minutes: Some(minutes),
                ..TimeoutOverrides::default()
            };
            pair.patch(id, patch)
        }
        3 if sessions.len() > 2 => pair.delete(id),
        4..=11 => {
            let message = message(pair, dice, id);
            pair.send(message)
        }
        _ => answer(pair, dice, id),
    }
}

/// Runs a random command on the session's next turn.
fn answer(pair: &mut Pair, dice: &mut Dice, id: SessionId) -> Check {
    let turn = pair.reference.next_turn(id);
    let turn = turn.filter(|turn| turn.waits_until.is_none() || dice.below(5) == 0);
    let Some(turn) = turn else {
        // To all waiting messages, or to none.
        let submit = submit(pair, dice, id);
        return pair.submit(submit);
    };
    let at = turn.message_at;
    match dice.below(6) {
        0 => pair.begin(id, at),
        1 => pair.park(id, at, MINUTE),
        2 => {
            let mut submit = submit(pair, dice, id);
            submit.in_reply_to = pair.reference.message_id(id, at);
            pair.submit(submit)
        }
        _ => {
            let mut reply = Reply::text("y".repeat(dice.below(9_000)));
            let topic = format!(r#"{{"topic":{}}}"#, dice.below(9));
            reply.session_metadata = (dice.below(3) == 0).then_some(topic);
            pair.close(id, at, Ok(reply))
        }
    }
}

fn message(pair: &mut Pair, dice: &mut Dice, id: SessionId) -> SendMessage {
    let length = [3, 300, 5_000, 20_000][dice.below(4)];
    let name = format!("key{}", dice.below(1_000_000));
    let mut message = pair.rig.keyed_message(id, &"x".repeat(length), &name);
    let beginnings = [
        TurnStart::InTurn,
        TurnStart::AtOnce,
        TurnStart::Waiting(MINUTE),
        TurnStart::Waiting(MINUTE),
    ];
    message.beginning = beginnings[dice.below(4)];
    message
}

/// Returns a submit with one of a few keys, so that some are repeats, and some of those have other
/// content.
fn submit(pair: &mut Pair, dice: &mut Dice, id: SessionId) -> SubmitReply {
    let content = "z".repeat([3, 9_000][dice.below(2)]);
    let mut submit = super::submit::submit(&mut pair.rig, id, &content);
    submit.key = Some(key(&format!("key{}", dice.below(8))));
    submit
}

/// Returns a possible content of the disk after a power cut since a sync.
fn left_over(synced: &[u8], pending: &[Done], variant: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = synced.to_vec();
    for done in pending {
        let reached = match variant {
            0 => false,
            1 => true,
            _ => dice.below(2) == 0,
        };
        match done {
            // The length of the file is not one of its pages.
            Done::SetLen(_) => done.redo(&mut bytes),
            Done::Write(at, data) if variant == 3 && reached => {
                // Torn: any of its sectors, and not the others.
                for (nth, sector) in data.chunks(SECTOR).enumerate() {
                    if dice.below(2) == 0 {
                        Done::Write(at + nth * SECTOR, sector.to_vec()).redo(&mut bytes);
                    }
                }
            }
            done if reached => done.redo(&mut bytes),
            _ => {}
        }
    }
    bytes
}

/// Opens what is left; returns the log of the operations during that.
fn survives(bytes: Vec<u8>, possible: &[&Contents], what: &str) -> Vec<Done> {
    let disk = Disk::with_bytes(bytes);
    disk.begin_log();
    // It checks the whole file when it is dropped.
    let mut rig = Rig::closed(rules());
    rig.disk = Some(disk.clone());
    if let Err(error) = rig.try_open() {
        panic!("{what}: {error}");
    }
    let found = rig.contents();
    assert!(possible.contains(&&found), "{what}: {found:?}");
    let faults = rig.store().check().unwrap();
    assert!(faults.is_empty(), "{what}: {faults:?}");
    disk.log()
}

/// Cuts the power again, at each sync of the opening that followed.
fn survives_again(bytes: &[u8], log: &[Done], possible: &[&Contents], what: &str, dice: &mut Dice) {
    let mut synced = bytes.to_vec();
    let mut pending = Vec::new();
    for (nth, done) in log.iter().enumerate() {
        pending.push(done.clone());
        if !matches!(done, Done::Sync) {
            continue;
        }
        let variant = 2 + dice.below(2);
        let again = left_over(&synced, &pending, variant, dice);
        survives(again, possible, &format!("{what}, and again at {nth}"));
        for done in pending.drain(..) {
            done.redo(&mut synced);
        }
    }
}

#[test]
fn acknowledged_writes_survive_a_power_cut_at_any_moment() {
    let commands = from_environment(COMMANDS).unwrap_or(25);
    let seed = from_environment(SEED).unwrap_or_else(|| {
        use std::hash::{BuildHasher as _, Hasher as _};
        std::hash::RandomState::new().build_hasher().finish()
    });
    println!("{SEED}={seed} makes the same run again");
    let mut dice = Dice(seed);
    let disk = Disk::default();
    let mut pair = Pair::new(Rig::on_disk(&disk));
    let before = disk.bytes();
    disk.begin_log();

    // After each answer: the length of the log, and the expected content.
    let mut answered = vec![(0, after_a_crash(&pair.reference))];
    for _ in 0..commands {
        act(&mut pair, &mut dice).unwrap();
        answered.push((disk.log().len(), after_a_crash(&pair.reference)));
    }
    pair.compare().unwrap();

    let log = disk.log();
    let mut synced = before;
    let mut pending: Vec<Done> = Vec::new();
    let mut cuts: u64 = 0;
    for (place, done) in log.iter().enumerate() {
        pending.push(done.clone());
        if !matches!(done, Done::Sync) {
            continue;
        }
        // What was in flight is stored completely or not at all.
        let last = answered.partition_point(|(length, _)| *length <= place) - 1;
        let possible: Vec<&Contents> = answered[last..]
            .iter()
            .take(2)
            .map(|(_, contents)| contents)
            .collect();
        for variant in 0..4 {
            let what = format!("{SEED}={seed}, cut at {place}, variant {variant}");
            let bytes = left_over(&synced, &pending, variant, &mut dice);
            let opening = survives(bytes.clone(), &possible, &what);
            survives_again(&bytes, &opening, &possible, &what, &mut dice);
            cuts += 1;
        }
        for done in pending.drain(..) {
            done.redo(&mut synced);
        }
    }
    assert!(cuts > commands, "{cuts}");
    println!("{cuts} cuts, and each again at every sync of the opening after it");
}

#[test]
fn an_offline_import_is_stored_completely_or_not_at_all() {
    let mut source = Rig::new();
    source.last_id = 1_000_000;
    for _ in 0..20 {
        let session = source.create();
        source.send(session.id, &"x".repeat(5_000));
    }
    let lines = super::archive::export(&source, 100);
    let imported = source.contents();

    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    rig.send(session.id, "hello");
    rig.close(false);
    let before = disk.bytes();
    disk.begin_log();
    super::import::merge_on(&disk, &lines);
    let log = disk.log();

    let contents = |bytes: Vec<u8>| {
        let mut rig = Rig::closed(rules());
        rig.disk = Some(Disk::with_bytes(bytes));
        rig.open();
        rig.contents()
    };
    let (old, new) = (contents(before.clone()), contents(disk.bytes()));
    assert_eq!((old.sessions.len(), new.sessions.len()), (1, 21));
    assert_eq!(new.messages[..20], imported.messages);

    let mut dice = Dice(7);
    let mut synced = before;
    let mut pending = Vec::new();
    let mut is_new = 0;
    for (nth, done) in log.iter().enumerate() {
        pending.push(done.clone());
        if !matches!(done, Done::Sync) {
            continue;
        }
        for variant in 0..4 {
            let left = left_over(&synced, &pending, variant, &mut dice);
            survives(left.clone(), &[&old, &new], &format!("cut at {nth}"));
            is_new += usize::from(contents(left) == new);
        }
        for done in pending.drain(..) {
            done.redo(&mut synced);
        }
    }
    assert!(is_new > 0, "no cut came after the commit");
}

#[test]
fn an_older_file_survives_a_power_cut_during_its_migration() {
    for version in [1, 2] {
        survives_its_migration(version);
    }
}

fn survives_its_migration(version: u32) {
    let golden = std::fs::read(super::golden::path(version)).unwrap();
    let mut rig = Rig::closed(rules());
    rig.disk = Some(Disk::with_bytes(golden.clone()));
    rig.open();
    let contents = rig.contents();
    assert_eq!(contents.sessions.len(), 2);

    let mut dice = Dice(7);
    let opening = survives(golden.clone(), &[&contents], "uncut");
    for round in 0..20 {
        let what = format!("version {version}, round {round}");
        survives_again(&golden, &opening, &[&contents], &what, &mut dice);
    }
}
