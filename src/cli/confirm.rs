//! A question on the terminal before something is deleted.

use std::io::{self, BufRead, IsTerminal as _, Write};

/// Returns whether a person can be asked: standard input and standard error are terminals.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on the terminal. Returns whether the answer is yes.
///
/// # Errors
/// The terminal cannot be read or written.
pub(super) fn ask(question: &str) -> io::Result<bool> {
    ask_on(&mut io::stdin().lock(), &mut io::stderr().lock(), question)
}

fn ask_on(input: &mut impl BufRead, output: &mut impl Write, question: &str) -> io::Result<bool> {
    write!(output, "{question} [y/N] ")?;
    output.flush()?;
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        writeln!(output)?;
    }
    let answer = line.trim().to_lowercase();
    Ok(answer == "y" || answer == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (entered, expected) in [
            ("y\n", true),
            (" YES \n", true),
            ("n\n", false),
            ("\n", false),
            ("", false),
            ("yesterday\n", false),
        ] {
            let mut output = Vec::new();
            let answer = ask_on(&mut entered.as_bytes(), &mut output, "Delete it?").unwrap();
            assert_eq!(answer, expected, "{entered:?}");
            assert!(output.starts_with(b"Delete it? [y/N] "));
        }
    }
}
