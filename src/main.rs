//! The `sessiond` program.

use std::process::ExitCode;

/// Apart from system calls, a request spends most of its time on allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sessiond::cli::main()
}
