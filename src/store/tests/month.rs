//! A month of sessions, with a moved clock and a restart each day: the size of the file, and the
//! time that a day takes, level off.

use std::time::{Duration, Instant};

use super::super::command::{AdvanceCounters, DeleteSession};
use super::*;

/// The hours between two bursts of sessions.
const STEP_HOURS: i64 = 2;

/// The number of sessions in a burst.
const SESSIONS: usize = 6;

#[derive(Debug)]
struct Day {
    bytes: u64,
    rows: u64,
    time: Duration,
}

fn live_a_day(rig: &mut Rig) -> Day {
    let began = Instant::now();
    for _ in 0..24 / STEP_HOURS {
        for number in 0..SESSIONS {
            let creation = rig.keyed_creation(&format!("k{}", rig.last_id));
            let session = rig.submit(creation).unwrap().session;
            for turn in 0..3 {
                let content = "hello ".repeat(1 + 60 * turn);
                let message = rig.keyed_message(session.id, &content, &turn.to_string());
                let message = rig.submit(message).unwrap().message;
                rig.reply(&message, &"well ".repeat(100));
            }
            if number == 0 {
                rig.submit(DeleteSession(session.id)).unwrap();
            }
        }
        rig.pass(Millis(STEP_HOURS * HOUR.0));
        rig.purge();
        rig.submit(AdvanceCounters).unwrap();
    }
    let day = Day {
        bytes: rig.bytes().len() as u64,
        rows: rig.all_rows(),
        time: began.elapsed(),
    };
    assert_eq!(rig.restart().clean_stop, Some(true));
    day
}

#[test]
fn a_month_of_sessions_leaves_no_more_than_its_second_day() {
    let mut rig = Rig::new();
    let days: Vec<Day> = (0..30).map(|_| live_a_day(&mut rig)).collect();
    let early = days[1..8].iter();
    let late = days[23..].iter();
    let bytes = |days: std::slice::Iter<Day>| days.map(|day| day.bytes).max().unwrap();
    let time = |days: std::slice::Iter<Day>| days.map(|day| day.time).min().unwrap();
    println!(
        "bytes {} and {}, rows {} and {}, a day takes {:?} and {:?}",
        bytes(early.clone()),
        bytes(late.clone()),
        days[1].rows,
        days[29].rows,
        time(early.clone()),
        time(late.clone())
    );
    assert_eq!(days[1].rows, days[29].rows);
    assert!(
        bytes(late.clone()) <= bytes(early.clone()) * 5 / 4,
        "{days:?}"
    );
    // Twice as long, plus what a busy machine adds.
    assert!(time(late) < time(early) * 4, "{days:?}");
}
