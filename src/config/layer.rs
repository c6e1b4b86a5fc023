//! Values of one origin.

use std::collections::HashMap;
use std::fmt;

use super::env_file::EnvFile;

/// Where a value was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// By a command-line flag.
    Flag,
    /// By a variable of the process's environment.
    Environment,
    /// In this line of the `.env` file; 0 where the line is not known.
    File(usize),
}

/// The values of one origin, by name.
pub(super) struct Layer {
    origin: Origin,
    values: HashMap<String, String>,
    /// The lines of a file that values come from.
    lines: HashMap<String, usize>,
    /// The lines of a file that look like assignments and are part of a quoted value.
    pub(super) enclosed: Vec<Enclosed>,
}

/// A line within quotes that looks like an assignment.
pub(super) struct Enclosed {
    pub(super) line: usize,
    pub(super) name: String,
    /// The line in which the quotes open.
    pub(super) quoted_from: usize,
}

impl Layer {
    pub(super) fn new(origin: Origin, values: HashMap<String, String>) -> Self {
        Self {
            origin,
            values,
            lines: HashMap::new(),
            enclosed: Vec::new(),
        }
    }

    pub(super) fn from_file(file: EnvFile) -> Self {
        let mut layer = Self::new(Origin::File(0), HashMap::new());
        for assignment in file.assignments() {
            let quoted_from = assignment.line;
            let enclosed = assignment.enclosed.into_iter();
            layer.enclosed.extend(enclosed.map(|(line, name)| Enclosed {
                line,
                name,
                quoted_from,
            }));
            layer.lines.insert(assignment.name.clone(), assignment.line);
            layer.values.insert(assignment.name, assignment.value);
        }
        layer
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Where the value of this name was set.
    pub(super) fn origin(&self, name: &str) -> Origin {
        match self.origin {
            Origin::File(_) => Origin::File(self.lines.get(name).copied().unwrap_or_default()),
            other => other,
        }
    }
}

impl fmt::Display for Origin {
    /// Reads as the end of "it is set …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("on the command line"),
            Self::Environment => f.write_str("in the environment"),
            Self::File(0) => f.write_str("in .env"),
            Self::File(line) => write!(f, "in line {line} of .env"),
        }
    }
}
