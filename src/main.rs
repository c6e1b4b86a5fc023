//! The program.

use std::process::ExitCode;

/// Most of what a request costs beside system calls is allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sessiond::cli::main()
}
