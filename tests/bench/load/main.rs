//! The load generator: measures a server of this API, and compares it with the limits of the
//! machine.
//!
//! `cargo run --release --example load -- --help`

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::format_push_string,
    reason = "measurement are rounded anyway, and a report is written once"
)]

mod api;
mod args;
mod bare;
mod cancel;
mod child;
mod client;
mod drive;
mod limits;
mod measurement;
mod million;
mod print;
mod report;
mod requests;
mod rounds;
mod row;
mod scenario;
mod search;
mod serve;
mod sync;
mod target;
mod usage;

use std::process::ExitCode;

/// The allocator of the released binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match args::command().get_matches().try_into().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(task: args::Task) -> anyhow::Result<()> {
    match task {
        args::Task::Measure(options) => one_thread()?.block_on(report::measure(&options)),
        args::Task::Million(options) => one_thread()?.block_on(million::measure(&options)),
        args::Task::Cancel(options) => one_thread()?.block_on(cancel::measure(&options)),
        args::Task::Search(options) => one_thread()?.block_on(search::measure(&options)),
        args::Task::Serve(ready) => serve::run(&ready),
        args::Task::Bare(ready, bytes) => bare::run(&ready, bytes),
        args::Task::Sync(file, seconds) => sync::run(&file, seconds),
        args::Task::Row(file, seconds) => row::run(&file, seconds),
    }
}

/// All connections share one thread, which leaves the other cores to the server.
fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
