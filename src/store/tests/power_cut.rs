//! What was answered is there after the power was cut, at whatever moment.
//!
//! A run of random commands on a disk that remembers all that was done to it; then, at every sync
//! of that run, what may be left of the disk: everything since the sync before is lost, reordered
//! or torn. Each of these disks is opened, and the power is cut again during that. What is found
//! must be what was answered, whole, or that and what was on its way to an answer, whole.

use super::super::command::{DeleteSession, Heartbeat, PatchTimeout, Renew};
use super::disk::Done;
use super::*;

/// How many commands a run has, which costs about a fiftieth of a second each.
const COMMANDS: &str = "SESSIOND_POWER_CUT_COMMANDS";

/// The seed of an earlier run.
const SEED: &str = "SESSIOND_POWER_CUT_SEED";

/// The smallest piece that a disk writes whole.
const SECTOR: usize = 512;

/// All that clients can read.
fn dump(rig: &Rig) -> String {
    let (sessions, _) = rig.read(|reader| reader.sessions_below(None, 1000));
    let transcripts: Vec<_> = sessions
        .iter()
        .map(|session| rig.transcript(session.id))
        .collect();
    format!("{sessions:?}\n{transcripts:?}")
}

/// Numbers that look random, the same for a seed.
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

/// One command of any kind, on any of the sessions.
fn act(rig: &mut Rig, dice: &mut Dice, sessions: &mut Vec<SessionId>) {
    if sessions.is_empty() || dice.below(10) == 0 {
        let creation = rig.keyed_creation(&format!("create{}", dice.below(1000)));
        sessions.push(rig.submit(creation).unwrap().session.id);
        return;
    }
    let place = dice.below(sessions.len());
    let id = sessions[place];
    rig.pass(Millis(dice.below(10_000).try_into().unwrap()));
    match dice.below(16) {
        0 => drop(rig.submit(Heartbeat(id)).unwrap()),
        1 => drop(rig.submit(Renew(id))),
        2 => {
            let minutes = [30.0, 60.0, 90.0][dice.below(3)];
            let patch = TimeoutOverrides {
                timeout_minutes: Some(minutes),
                ..TimeoutOverrides::default()
            };
            let session_id = id;
            drop(rig.submit(PatchTimeout { session_id, patch }).unwrap());
        }
        3 if sessions.len() > 2 => {
            rig.submit(DeleteSession(id)).unwrap();
            sessions.remove(place);
        }
        4..=9 => {
            let length = [3, 300, 5_000, 20_000][dice.below(4)];
            let name = format!("key{}", dice.below(1_000_000));
            let message = rig.keyed_message(id, &"x".repeat(length), &name);
            // More than may be open at once is refused, which is no news.
            drop(rig.submit(message));
        }
        _ => {
            if let Some(turn) = rig.next_turn(id) {
                let close = CloseTurn {
                    session_id: id,
                    message_at: turn.message_at,
                    result: Ok(Reply::text("y".repeat(dice.below(9_000)))),
                    partial: None,
                };
                rig.submit(close).unwrap();
            }
        }
    }
}

/// What may be left of what was done since a sync.
fn left_over(synced: &[u8], pending: &[Done], variant: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = synced.to_vec();
    for done in pending {
        let reached = match variant {
            0 => false,
            1 => true,
            _ => dice.below(2) == 0,
        };
        match done {
            // The length of the file is no page of it.
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

/// Opens what is left; the log of what that did to the disk.
fn survives(bytes: Vec<u8>, possible: &[&str], what: &str) -> Vec<Done> {
    let disk = Disk::with_bytes(bytes);
    disk.begin_log();
    // At its end it checks the whole file.
    let mut rig = Rig::closed(rules());
    rig.disk = Some(disk.clone());
    if let Err(error) = rig.try_open() {
        panic!("{what}: {error}");
    }
    let found = dump(&rig);
    assert!(possible.contains(&found.as_str()), "{what}: {found}");
    let faults = rig.store().check().unwrap();
    assert!(faults.is_empty(), "{what}: {faults:?}");
    disk.log()
}

/// The power is cut again, at each sync of the opening that followed.
fn survives_again(bytes: &[u8], log: &[Done], possible: &[&str], what: &str, dice: &mut Dice) {
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
fn what_was_answered_survives_a_power_cut_at_any_moment() {
    let commands = from_environment(COMMANDS).unwrap_or(25);
    let seed = from_environment(SEED).unwrap_or_else(|| {
        use std::hash::{BuildHasher as _, Hasher as _};
        std::hash::RandomState::new().build_hasher().finish()
    });
    println!("{SEED}={seed} makes the same run again");
    let mut dice = Dice(seed);
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let before = disk.bytes();
    disk.begin_log();

    // After each answer: how much had been done to the disk, and what could be read.
    let mut answered = vec![(0, dump(&rig))];
    let mut sessions = Vec::new();
    for _ in 0..commands {
        act(&mut rig, &mut dice, &mut sessions);
        answered.push((disk.log().len(), dump(&rig)));
    }

    let log = disk.log();
    let mut synced = before;
    let mut pending: Vec<Done> = Vec::new();
    let mut cuts: u64 = 0;
    for (place, done) in log.iter().enumerate() {
        pending.push(done.clone());
        if !matches!(done, Done::Sync) {
            continue;
        }
        // What was on its way to an answer may be there or not, but never in part.
        let last = answered.partition_point(|(length, _)| *length <= place) - 1;
        let possible: Vec<&str> = answered[last..]
            .iter()
            .take(2)
            .map(|(_, dump)| dump.as_str())
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
