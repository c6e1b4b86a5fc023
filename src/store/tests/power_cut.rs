//! What was answered is there after the power was cut, at whatever moment.

use super::super::command::{DeleteSession, Heartbeat};
use super::disk::Done;
use super::*;

/// All that clients can read.
fn dump(rig: &Rig) -> String {
    let (sessions, _) = rig.read(|reader| reader.sessions_below(None, 1000));
    let transcripts: Vec<_> = sessions
        .iter()
        .map(|session| rig.transcript(session.id))
        .collect();
    format!("{sessions:#?}\n{transcripts:#?}")
}

/// A number that looks random, the same in each run.
fn scramble(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from((mixed ^ (mixed >> 29)) >> 40).unwrap()
}

#[test]
fn what_was_answered_survives_a_power_cut_at_any_moment() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let before = disk.bytes();
    disk.begin_log();

    // After each answer: how much had been done to the disk, and what could be read.
    let mut answered = vec![(0, dump(&rig))];
    let mut note = |rig: &Rig| answered.push((disk.log().len(), dump(rig)));
    for round in 0..4 {
        let session = rig.create();
        note(&rig);
        let sent = rig.send(session.id, "hello");
        note(&rig);
        rig.reply(&sent.message, &"well ".repeat(2_000));
        note(&rig);
        rig.pass(MINUTE);
        rig.submit(Heartbeat(session.id)).unwrap();
        note(&rig);
        if round % 2 == 1 {
            rig.submit(DeleteSession(session.id)).unwrap();
            note(&rig);
        }
    }

    let log = disk.log();
    let mut synced = before;
    let mut pending: Vec<&Done> = Vec::new();
    let mut cuts = 0;
    for (place, done) in log.iter().enumerate() {
        pending.push(done);
        if !matches!(done, Done::Sync) {
            continue;
        }
        // Of what was not synced yet, any part may have reached the disk.
        for variant in 0..4 {
            let mut bytes = synced.clone();
            for (nth, done) in pending.iter().enumerate() {
                let reached = match variant {
                    0 => false,
                    1 => true,
                    _ => scramble(place * 31 + nth * 7 + variant).is_multiple_of(2),
                };
                if reached || matches!(done, Done::SetLen(_)) {
                    done.redo(&mut bytes);
                }
            }
            assert_survived(bytes, place, &answered);
            cuts += 1;
        }
        for done in pending.drain(..) {
            done.redo(&mut synced);
        }
    }
    assert!(cuts > 100, "{cuts}");
}

fn assert_survived(bytes: Vec<u8>, place: usize, answered: &[(usize, String)]) {
    let after = Rig::on_disk(&Disk::with_bytes(bytes));
    let last = answered.partition_point(|(length, _)| *length <= place) - 1;
    let found = dump(&after);
    // What was on its way to an answer may be there or not, but never in part.
    let possible: Vec<&str> = answered[last..]
        .iter()
        .take(2)
        .map(|(_, dump)| dump.as_str())
        .collect();
    assert!(
        possible.contains(&found.as_str()),
        "after a cut at {place}: {found}"
    );
}
