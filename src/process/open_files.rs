//! How many files the process may have open, and so how many connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files are kept for all that is no client's connection: the database and its copies, the
/// log, and the connections to the servers behind the agents.
const RESERVE: usize = 256;

/// Where there are few files, this part of them is kept, but never less than is always needed.
const PART: usize = 4;
const LEAST_RESERVE: usize = 32;

/// The fewest files that a server works with.
const FEWEST: usize = 64;

/// The most connections at once, as far as the system allows as many open files. Its limit is
/// raised for them first, where it can be.
///
/// # Errors
/// There are too few for anything.
pub fn connections(wanted: usize) -> anyhow::Result<usize> {
    let files = raise_limit(wanted.saturating_add(RESERVE));
    if files < FEWEST {
        anyhow::bail!(
            "the system allows this process {files} open files, and it needs {FEWEST} at least; \
             raise that with `ulimit -n`, or LimitNOFILE of a systemd unit"
        );
    }
    let most = fitting(wanted, files);
    if most < wanted {
        tracing::warn!(
            connections = most,
            open_files = files,
            "there can be fewer connections than MAX_CONNECTIONS says, since the system allows \
             too few open files; raise `ulimit -n`, or LimitNOFILE of a systemd unit"
        );
    }
    Ok(most)
}

/// Raises the limit of open files to this, or as far as the system lets us; returns what it is then.
fn raise_limit(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    if limit.current.is_some_and(|current| current < raised) {
        let new = Rlimit {
            current: Some(raised),
            ..limit
        };
        match setrlimit(Resource::Nofile, new) {
            Ok(()) => limit.current = Some(raised),
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    let files = limit.current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

/// How many of the wanted connections fit into so many open files.
fn fitting(wanted: usize, files: usize) -> usize {
    let reserve = (files / PART).clamp(LEAST_RESERVE, RESERVE);
    wanted.min(files.saturating_sub(reserve))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_kept_for_what_is_no_connection() {
        for (wanted, files, fitting_in) in [
            (10_000, usize::MAX, 10_000),
            (10_000, 10_256, 10_000),
            (10_000, 10_255, 9_999),
            (10_000, 1_024, 768),
            (10_000, 256, 192),
            (100, 256, 100),
            (10_000, FEWEST, 32),
        ] {
            assert_eq!(fitting(wanted, files), fitting_in, "{wanted} {files}");
        }
    }
}
