//! More load than the disk can handle: the queue is bounded, and excess commands are refused
//! immediately.

use std::time::Instant;

use futures_util::future::join_all;
use hdrhistogram::Histogram;

use super::super::command::Heartbeat;
use super::*;

/// The duration of a sync of the slow disk. A commit has two.
const SYNC: Duration = Duration::from_millis(10);

/// The duration of the load in seconds, unless the environment sets it.
const LOAD: u64 = 2;
const LOAD_VARIABLE: &str = "SESSIOND_OVERLOAD_SECONDS";

/// How much more memory a long load may use at its end than after its first quarter.
const MEMORY_MARGIN: u64 = 32 << 20;

/// Several times the capacity of the queue.
const AT_ONCE: usize = 3 * QUEUE_COMMANDS;

/// The factor by which a busy machine may be slower.
const PATIENCE: u32 = 20;

#[test]
fn answers_come_in_bounded_time_under_overload() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    disk.set_sync_time(SYNC);
    let load = Duration::from_secs(load());
    let began = Instant::now();
    let mut taken = Histogram::<u64>::new(3).unwrap();
    let mut refused = taken.clone();
    let mut early = None;
    while began.elapsed() < load {
        let calls = (0..AT_ONCE).map(|_| async {
            let asked = Instant::now();
            (
                rig.store().submit(Heartbeat(session.id)).await,
                asked.elapsed(),
            )
        });
        for (answer, time) in rig.wait(join_all(calls)) {
            let times = match answer {
                Ok(_) => &mut taken,
                Err(SubmitError::Overloaded) => &mut refused,
                Err(other) => panic!("{other}"),
            };
            times
                .record(u64::try_from(time.as_micros()).unwrap())
                .unwrap();
        }
        if began.elapsed() > load / 4 {
            early = early.or_else(resident_bytes);
        }
    }
    let late = resident_bytes();
    let p99 = Duration::from_micros(taken.value_at_quantile(0.99));
    let slowest = Duration::from_micros(refused.max());
    println!(
        "{} taken, p99 {p99:?}; {} refused, the slowest in {slowest:?}; {early:?} bytes resident \
         after a quarter, {late:?} at the end",
        taken.len(),
        refused.len(),
    );
    assert!(
        refused.len() > QUEUE_COMMANDS as u64,
        "the queue was not full"
    );
    // The full queue is eight transactions.
    let batches = u32::try_from(QUEUE_COMMANDS / 1024).unwrap() + 2;
    let bound = 2 * SYNC * batches * PATIENCE;
    assert!(p99 < bound, "{p99:?} of at most {bound:?}");
    // Refused callers do not wait for a commit.
    assert!(slowest < 2 * SYNC * PATIENCE);
    // Other tests of this process use memory too: the number is meaningful only if this test runs
    // on its own.
    if load > Duration::from_secs(LOAD) {
        assert!(late <= early.map(|early| early + MEMORY_MARGIN));
    }

    // Afterwards, no trace of the load is left.
    let asked = Instant::now();
    rig.submit(Heartbeat(session.id)).unwrap();
    assert!(asked.elapsed() < 2 * SYNC * PATIENCE);
    let counted = rig.session(session.id).unwrap().renewal_count as usize;
    assert_eq!(
        counted as u64,
        taken.len() + 1,
        "what was refused was not done"
    );
}

fn load() -> u64 {
    let given = std::env::var(LOAD_VARIABLE).ok();
    given.map_or(LOAD, |seconds| seconds.parse().unwrap())
}

fn resident_bytes() -> Option<u64> {
    metrics_process::collector::collect().resident_memory_bytes
}
