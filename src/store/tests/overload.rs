//! More load than the disk takes: the queue is bounded, and what does not fit hears so at once.

use std::time::Instant;

use futures_util::future::join_all;

use super::super::command::Heartbeat;
use super::*;

/// How long a sync of the slow disk takes. A commit has two.
const SYNC: Duration = Duration::from_millis(10);

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(2);

/// Several times what fits into the queue.
const AT_ONCE: usize = 3 * QUEUE;

/// A machine that is busy with other things is slower than it should be by this.
const PATIENCE: u32 = 20;

#[test]
fn under_more_load_than_the_disk_takes_answers_come_in_bounded_time() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    disk.set_sync_time(SYNC);
    let began = Instant::now();
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    while began.elapsed() < LOAD {
        let calls = (0..AT_ONCE).map(|_| async {
            let asked = Instant::now();
            (
                rig.store().submit(Heartbeat(session.id)).await,
                asked.elapsed(),
            )
        });
        for (answer, time) in rig.wait(join_all(calls)) {
            match answer {
                Ok(_) => taken.push(time),
                Err(SubmitError::Overloaded) => refused.push(time),
                Err(other) => panic!("{other}"),
            }
        }
    }
    taken.sort_unstable();
    refused.sort_unstable();
    let p99 = taken[taken.len() * 99 / 100];
    println!(
        "{} taken, p99 {p99:?}; {} refused, the slowest in {:?}",
        taken.len(),
        refused.len(),
        refused.last()
    );
    assert!(refused.len() > QUEUE, "it was no overload");
    // The whole queue is eight transactions.
    let batches = u32::try_from(QUEUE / 1024).unwrap() + 2;
    let bound = 2 * SYNC * batches * PATIENCE;
    assert!(p99 < bound, "{p99:?} of at most {bound:?}");
    // Nobody who is refused waits for a commit.
    assert!(*refused.last().unwrap() < 2 * SYNC * PATIENCE);

    // With the load, its traces are gone.
    let asked = Instant::now();
    rig.submit(Heartbeat(session.id)).unwrap();
    assert!(asked.elapsed() < 2 * SYNC * PATIENCE);
    let counted = rig.session(session.id).unwrap().renewal_count as usize;
    assert_eq!(counted, taken.len() + 1, "what was refused was not done");
}
