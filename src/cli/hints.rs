//! What can be done about an error, appended to its message.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use crate::agents::registry::RegistryError;
use crate::process::server_lock::ServerLock;
use crate::settings::Config;
use crate::store::error::{CopyError, ImportError, OpenError, RECOVERY_HINT};

/// For a data directory that cannot be used.
pub(super) const ANOTHER_DIRECTORY: &str = "--data-dir or DATA_DIR chooses another directory";

const NAME_A_BACKUP: &str = "name a file that `sessiond backup FILE` has created";

/// For a server at another address.
pub(super) const ADDRESS: &str = "set its address with SERVER_HOST and SERVER_PORT";

/// For a server that failed.
pub(super) const SERVER_LOG: &str = "the server's log says why";

/// For a backup whose file cannot be created.
pub(super) const NO_FILE: &str =
    "name a file in an existing directory that the user that runs sessiond may write";

/// For an export given to `restore`.
pub(super) const LINES: &str =
    "these are the lines of an export: `sessiond import FILE` creates a database from them";

/// Adds a hint to the error of a command, if there is one.
pub(super) fn add(error: anyhow::Error, command: &str, config: &Config) -> anyhow::Error {
    let data_dir = config.storage.data_dir.as_path();
    let hint = error
        .chain()
        .find_map(|cause| hint(cause, command, data_dir));
    match hint {
        None => error,
        Some(hint) => append(&error, &hint),
    }
}

/// Appends a hint to the message of an error.
pub(super) fn append(error: &anyhow::Error, hint: &str) -> anyhow::Error {
    // As one text, since a context would precede the error.
    anyhow::anyhow!("{error:#}; {hint}")
}

fn hint(cause: &(dyn Error + 'static), command: &str, data_dir: &Path) -> Option<String> {
    if let Some(RegistryError::Io { error, .. }) = cause.downcast_ref() {
        return for_agents(error.kind());
    }
    let error = match (cause.downcast_ref(), cause.downcast_ref()) {
        (Some(CopyError::Unsound(_)), _) => return Some(for_damage(command)),
        (Some(CopyError::Failed(error)), _) => error,
        // Damage in this one is that of the new file, which was discarded.
        (_, Some(ImportError::Failed(error))) if error.is_damage() => return None,
        (_, Some(ImportError::Failed(error))) => error,
        _ => cause.downcast_ref()?,
    };
    match error {
        OpenError::InUse => Some(for_lock(command, data_dir)),
        OpenError::Foreign(_) => Some(format!(
            "replace it with a backup by `sessiond restore --force FILE`, or move it away, and the \
             next start creates a new database; {ANOTHER_DIRECTORY}"
        )),
        error if error.is_damage() => Some(for_damage(command)),
        error => Some(for_data_dir(error.io_kind()?, command, data_dir)),
    }
}

/// For data that another process holds.
fn for_lock(command: &str, data_dir: &Path) -> String {
    let holder = ServerLock::holder(data_dir);
    let holder = holder.map_or_else(
        || "stop that process first, which may be another sessiond".to_owned(),
        |holder| format!("{holder} holds it: stop it first"),
    );
    match command {
        "serve" => {
            format!("{holder}, or choose another directory with --data-dir or DATA_DIR")
        }
        "compact" => {
            format!(
                "{holder}; `sessiond backup FILE` asks a running server for a copy, which is compact"
            )
        }
        _ => holder,
    }
}

/// For a database that is inconsistent or cannot be read.
pub(super) fn for_damage(command: &str) -> String {
    let advice = match command {
        "check" => RECOVERY_HINT.to_owned(),
        "export" => {
            "`sessiond check` lists its faults, and `sessiond restore --force FILE` replaces it \
                     with a backup"
                .to_owned()
        }
        _ => format!("`sessiond check` lists its faults, and {RECOVERY_HINT}"),
    };
    format!("{advice}. The file was left as it is")
}

/// For an error of the file system at the data directory or the database.
fn for_data_dir(kind: ErrorKind, command: &str, path: &Path) -> String {
    // A relative path does not show the working directory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = path.display();
    if path.exists() && !path.is_dir() {
        return format!("{shown} is not a directory; {ANOTHER_DIRECTORY}");
    }
    match kind {
        ErrorKind::NotFound => format!(
            "a server creates the database when it first starts in {shown}; {ANOTHER_DIRECTORY}. \
             If a running server's directory was moved or removed, its GET /api/admin/export \
             returns the data"
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            let access = match command {
                "check" | "backup" | "export" => "read the files in",
                _ if path.is_dir() => "write the directory and the files in",
                _ => "create and write the directory",
            };
            format!(
                "the user that runs sessiond must be allowed to {access} {shown}; \
                 {ANOTHER_DIRECTORY}"
            )
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some disk space".to_owned(),
        _ => ANOTHER_DIRECTORY.to_owned(),
    }
}

/// For the character files and their directory.
fn for_agents(kind: ErrorKind) -> Option<String> {
    let advice = match kind {
        ErrorKind::PermissionDenied => "the user that runs sessiond must be allowed to read it",
        ErrorKind::NotADirectory => "it must be a directory of character files, or not exist",
        ErrorKind::InvalidData => return Some("save it as UTF-8".to_owned()),
        _ => return None,
    };
    Some(format!("{advice}; {ANOTHER_DIRECTORY}"))
}

/// For the file that `restore` cannot read.
pub(super) fn for_backup(error: &OpenError) -> Option<&'static str> {
    if error.is_damage() {
        return Some("choose another backup");
    }
    match (error, error.io_kind()) {
        (OpenError::InUse, _) => Some("stop it first, or back it up with `sessiond backup FILE`"),
        (OpenError::Foreign(_), _) | (_, Some(ErrorKind::NotFound | ErrorKind::IsADirectory)) => {
            Some(NAME_A_BACKUP)
        }
        (_, Some(ErrorKind::PermissionDenied)) => {
            Some("the user that runs sessiond must be allowed to read it")
        }
        _ => None,
    }
}

/// For an address that cannot be bound.
pub(super) fn for_address(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another program is using it, maybe another sessiond: stop that one, or choose another \
             port with --port"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose another port with --port"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose another one with --host, such as \
             127.0.0.1 or 0.0.0.0"
        }
        _ => "choose another address with --host and --port",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;
    use crate::settings::Layers;

    /// Returns the message of a failed command.
    fn message(command: &str, error: anyhow::Error) -> String {
        let config = Config::read(Layers::default()).unwrap();
        format!("{:#}", add(error, command, &config))
    }

    fn refused() -> OpenError {
        io::Error::from(ErrorKind::PermissionDenied).into()
    }

    #[test]
    fn nested_errors_are_found() {
        for error in [
            anyhow::Error::new(refused()),
            CopyError::Failed(refused()).into(),
            ImportError::Failed(refused()).into(),
            Err::<(), _>(refused()).context("here").unwrap_err(),
            anyhow::Error::new(refused()).context("here"),
        ] {
            let message = message("serve", error);
            let needed = "the user that runs sessiond must be allowed to ";
            assert!(message.contains(needed), "{message}");
            assert_eq!(message.matches("permission denied").count(), 1, "{message}");
        }
    }

    #[test]
    fn a_command_that_only_reads_requires_no_more() {
        let advice = |command| message(command, refused().into());
        assert!(advice("check").contains("allowed to read the files in /"));
        assert!(advice("restore").contains(" write the directory "));
    }

    #[test]
    fn damage_of_a_new_file_is_not_damage_of_the_database() {
        let damaged = || OpenError::Damaged("it is cut off".into());
        assert!(message("import", damaged().into()).contains("sessiond check"));
        let new = ImportError::Failed(damaged()).into();
        assert!(!message("import", new).contains("sessiond check"));
    }

    #[test]
    fn a_damaged_database_can_be_restored_or_exported() {
        for error in [
            CopyError::Unsound("an index row".into()).into(),
            anyhow::Error::new(CopyError::Failed(OpenError::Damaged("a page".into()))),
            OpenError::Damaged("a page".into()).into(),
        ] {
            let message = message("backup", error);
            for command in ["check", "restore --force FILE", "export", "import"] {
                assert!(
                    message.contains(&format!("`sessiond {command}`")),
                    "{message}"
                );
            }
        }
        // A file that cannot be opened cannot be exported either.
        let message = message("export", OpenError::Damaged("a page".into()).into());
        assert!(!message.contains("`sessiond export`"), "{message}");
    }

    #[test]
    fn the_user_that_must_read_the_agents_is_named() {
        let error = RegistryError::Io {
            path: PathBuf::from("data/agents"),
            error: ErrorKind::PermissionDenied.into(),
        };
        assert_eq!(
            message("agents", error.into()),
            "data/agents: permission denied; the user that runs sessiond must be allowed to read \
             it; --data-dir or DATA_DIR chooses another directory"
        );
    }

    #[test]
    fn other_errors_have_no_hint() {
        assert_eq!(message("serve", anyhow::anyhow!("no")), "no");
        let newer = OpenError::Newer { found: 2, known: 1 };
        let expected = newer.to_string();
        assert_eq!(message("serve", newer.into()), expected);
    }
}
