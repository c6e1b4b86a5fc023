//! A numbered choice on a terminal.

use std::io::{self, BufRead, Write};

/// Asks on the terminal for one of these. Returns its index, or `None` if the input ends.
///
/// # Errors
/// The terminal cannot be read or written.
pub(super) fn ask(thing: &str, names: &[String]) -> io::Result<Option<usize>> {
    ask_on(
        &mut io::stdin().lock(),
        &mut io::stderr().lock(),
        thing,
        names,
    )
}

/// What a person entered.
#[derive(Debug, PartialEq, Eq)]
enum Entered {
    /// One of the names, by its index.
    Chosen(usize),
    /// A part of these names.
    Part(Vec<usize>),
    /// Neither.
    Unknown,
}

fn ask_on(
    input: &mut impl BufRead,
    output: &mut impl Write,
    thing: &str,
    names: &[String],
) -> io::Result<Option<usize>> {
    list(output, names, 0..names.len())?;
    loop {
        let default = if names.len() == 1 { " [1]" } else { "" };
        write!(output, "{thing}, as a number or a name{default}: ")?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            writeln!(output)?;
            return Ok(None);
        }
        match read(line.trim(), names) {
            Entered::Chosen(index) => return Ok(Some(index)),
            Entered::Part(indices) => list(output, names, indices)?,
            Entered::Unknown => {
                let count = names.len();
                writeln!(
                    output,
                    "enter a number from 1 to {count}, or a name or a part of it"
                )?;
            }
        }
    }
}

fn read(entered: &str, names: &[String]) -> Entered {
    if entered.is_empty() {
        return if names.len() == 1 {
            Entered::Chosen(0)
        } else {
            Entered::Unknown
        };
    }
    if let Some(index) = names.iter().position(|name| name == entered) {
        return Entered::Chosen(index);
    }
    if let Ok(number) = entered.parse::<usize>()
        && (1..=names.len()).contains(&number)
    {
        return Entered::Chosen(number - 1);
    }
    let wanted = entered.to_lowercase();
    let with_part = names.iter().enumerate();
    let with_part = with_part.filter(|(_, name)| name.to_lowercase().contains(&wanted));
    match with_part.map(|(index, _)| index).collect::<Vec<_>>() {
        indices if indices.is_empty() => Entered::Unknown,
        indices => Entered::Part(indices),
    }
}

fn list(
    output: &mut impl Write,
    names: &[String],
    indices: impl IntoIterator<Item = usize>,
) -> io::Result<()> {
    let width = names.len().to_string().len();
    for index in indices {
        writeln!(output, "  {:width$}  {}", index + 1, names[index])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(entered: &str, names: &[&str]) -> (Option<usize>, String) {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut output = Vec::new();
        let chosen = ask_on(&mut entered.as_bytes(), &mut output, "model", &names).unwrap();
        (chosen, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_number_or_a_name_chooses() {
        let models = ["gemma3:latest", "llama3.2:3b", "7"];
        for (entered, chosen) in [
            ("2\n", Some(1)),
            (" 1 \n", Some(0)),
            ("llama3.2:3b\n", Some(1)),
            ("7\n", Some(2)),
            ("0\n4\n-1\n\n3\n", Some(2)),
            ("", None),
            ("x\n", None),
        ] {
            assert_eq!(asked(entered, &models).0, chosen, "{entered:?}");
        }
        assert_eq!(asked("\n", &["only"]).0, Some(0));
    }

    #[test]
    fn a_part_of_a_name_shortens_the_list_and_anything_else_is_explained() {
        let models = ["gemma3:latest", "llama3.2:3b", "gemma3:27b"];
        let (chosen, shown) = asked("GEMMA\nfoo\n3\n", &models);
        assert_eq!(chosen, Some(2));
        let rest = shown.split_once("model, as").unwrap().1;
        assert!(
            rest.contains("  1  gemma3:latest\n  3  gemma3:27b\n"),
            "{shown}"
        );
        assert!(!rest.contains("llama"), "{shown}");
        assert!(rest.contains("enter a number from 1 to 3"), "{shown}");
    }
}
