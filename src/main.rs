//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sessiond::cli::main()
}
