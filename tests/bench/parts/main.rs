//! `cargo bench`: benchmarks of the parts.
//!
//! The store is measured with 1,000 and 100,000 sessions, and with a million if
//! `BENCH_MILLION=1` is set, which takes a while to prepare.

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the store's own file, since it is not public; the benchmarks use a part of it"
)]
#[path = "../../../src/store/schema/record/mod.rs"]
mod record;
mod records;
mod rules;
mod samples;
mod stored;
mod writes;

// `record.rs`, which is included by path, imports `crate::domain`.
use sessiond::domain;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}
