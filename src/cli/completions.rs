//! `sessiond completions SHELL`

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::commands::Cli;
use super::{flags, output};

/// Prints the script for a shell.
pub(super) fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    // The generators offer hidden flags too, so here there are none.
    let mut command = flags::listed(Cli::command());
    clap_complete::generate(shell, &mut command, "sessiond", &mut script);
    let mut out = io::stdout().lock();
    output::heard(out.write_all(&script).and_then(|()| out.flush()))
}
