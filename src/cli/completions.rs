//! `sessiond completions SHELL`

use std::io::{self, Write as _};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{flags, output};

const SHELL: &str = "SHELL";

/// The command's arguments.
pub(super) fn command() -> Command {
    Command::new("completions")
        .about("Print a script that completes sessiond's arguments in a shell")
        .arg(
            Arg::new(SHELL)
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("The shell"),
        )
}

/// Prints the script for a shell.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let Some(shell) = matches.get_one::<Shell>(SHELL) else {
        return Ok(());
    };
    let mut script = Vec::new();
    // The generators offer hidden flags too, so here there are none.
    let mut command = flags::listed(super::bare_command());
    clap_complete::generate(*shell, &mut command, "sessiond", &mut script);
    let mut out = io::stdout().lock();
    output::heard(out.write_all(&script).and_then(|()| out.flush()))
}
