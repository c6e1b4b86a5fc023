//! The limit of open files, and the number of connections that it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The open files reserved for everything but client connections: the database and its copies, the
/// log, connections to the servers of agents.
const RESERVE: usize = 256;

/// Under a low limit, this fraction of the files is reserved, but at least `MIN_RESERVE`.
const RESERVED_FRACTION: usize = 4;
const MIN_RESERVE: usize = 32;

/// The fewest open files that a server works with.
const MIN_FILES: usize = 64;

/// Returns the number of connections that the limit of open files allows, at most `wanted`. Raises
/// the limit first, as far as the system permits.
///
/// # Errors
/// Returns an error if the limit is too low for a server.
pub fn connections(wanted: usize) -> anyhow::Result<usize> {
    let files = raise_limit(wanted.saturating_add(RESERVE));
    if files < MIN_FILES {
        anyhow::bail!(
            "the system allows this process {files} open files, and it needs {MIN_FILES} at least; \
             raise that with `ulimit -n`, or LimitNOFILE of a systemd unit"
        );
    }
    let connections = fitting(wanted, files);
    if connections < wanted {
        tracing::warn!(
            connections,
            open_files = files,
            "fewer connections than MAX_CONNECTIONS are possible, since the system allows too few \
             open files; raise `ulimit -n`, or LimitNOFILE of a systemd unit"
        );
    }
    Ok(connections)
}

/// Raises the limit of open files to `wanted`, or as far as the system permits. Returns the new
/// limit.
fn raise_limit(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let current = Some(wanted.min(limit.maximum.unwrap_or(u64::MAX)));
    if limit.current.is_some_and(|limit| Some(limit) < current) {
        match setrlimit(Resource::Nofile, Rlimit { current, ..limit }) {
            Ok(()) => limit.current = current,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    let files = limit.current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

/// Returns how many of the wanted connections fit into this many open files.
fn fitting(wanted: usize, files: usize) -> usize {
    let reserve = (files / RESERVED_FRACTION).clamp(MIN_RESERVE, RESERVE);
    wanted.min(files.saturating_sub(reserve))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_reserved_for_other_uses_than_connections() {
        for (wanted, files, expected) in [
            (10_000, usize::MAX, 10_000),
            (10_000, 10_256, 10_000),
            (10_000, 10_255, 9_999),
            (10_000, 1_024, 768),
            (10_000, 256, 192),
            (100, 256, 100),
            (10_000, MIN_FILES, 32),
        ] {
            assert_eq!(fitting(wanted, files), expected, "{wanted} {files}");
        }
    }
}
