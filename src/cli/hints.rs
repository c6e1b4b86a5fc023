//! What can be done about an error: the end of its message.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use crate::agents::registry::RegistryError;
use crate::settings::Config;
use crate::store::error::{CopyError, ImportError, OpenError, REMEDY};

/// How another data folder is chosen.
const ELSEWHERE: &str = "--data-dir or DATA_DIR chooses another folder";

/// How a server is found that listens at another address.
pub(super) const ADDRESS: &str = "name its address with SERVER_HOST and SERVER_PORT";

/// Adds what can be done about the error of a command, where that is known.
pub(super) fn add(error: anyhow::Error, command: &str, config: &Config) -> anyhow::Error {
    let folder = config.storage.data_dir.as_path();
    match error.chain().find_map(|cause| hint(cause, command, folder)) {
        None => error,
        Some(hint) => append(&error, &hint),
    }
}

/// Appends a hint to the message of an error.
pub(super) fn append(error: &anyhow::Error, hint: &str) -> anyhow::Error {
    // As one text: words of a context would stand before the error.
    anyhow::anyhow!("{error:#}; {hint}")
}

fn hint(cause: &(dyn Error + 'static), command: &str, folder: &Path) -> Option<String> {
    if let Some(RegistryError::Io { error, .. }) = cause.downcast_ref() {
        return for_agents(error.kind());
    }
    if let Some(CopyError::Unsound(_)) = cause.downcast_ref() {
        return Some(for_damage(command));
    }
    for_database(open_error(cause)?, command, folder)
}

/// Returns the reason why a file could not be opened, also from within another error.
fn open_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a OpenError> {
    if let Some(CopyError::Failed(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(ImportError::Failed(error)) = cause.downcast_ref() {
        // What is damaged there is the new file, which is thrown away.
        return Some(error).filter(|error| !error.is_damage());
    }
    cause.downcast_ref()
}

/// For the database in the data folder.
fn for_database(error: &OpenError, command: &str, folder: &Path) -> Option<String> {
    match error {
        OpenError::InUse => Some(for_lock(command)),
        OpenError::Foreign(_) => Some(format!(
            "put a backup in its place with `sessiond restore --force FILE`, or move it away, and \
             the next start makes a new database; {ELSEWHERE}"
        )),
        error if error.is_damage() => Some(for_damage(command)),
        error => Some(for_folder(error.io_kind()?, command, folder)),
    }
}

fn for_lock(command: &str) -> String {
    match command {
        "serve" => "stop that one first, which may be another sessiond, or choose another folder \
                    with --data-dir or DATA_DIR"
            .to_owned(),
        "compact" => "stop it first; `sessiond backup FILE` asks a running server for a copy, \
                      which is compact"
            .to_owned(),
        _ => "stop it first".to_owned(),
    }
}

/// For a database that is inconsistent or cannot be read.
pub(super) fn for_damage(command: &str) -> String {
    let check = "`sessiond check` lists what is wrong with it, and";
    let left = "The file was left as it is";
    match command {
        "check" => format!("{REMEDY}. {left}"),
        "export" => {
            format!("{check} `sessiond restore --force FILE` puts a backup in its place. {left}")
        }
        _ => format!("{check} {REMEDY}. {left}"),
    }
}

/// For the data folder and the database, as far as the file system is in the way.
fn for_folder(kind: ErrorKind, command: &str, folder: &Path) -> String {
    // A relative name does not tell in which folder the program was started.
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let path = folder.display();
    if folder.exists() && !folder.is_dir() {
        return format!("{path} is not a directory; {ELSEWHERE}");
    }
    match kind {
        ErrorKind::NotFound => {
            format!(
                "a server makes the database when it first starts in {path}; {ELSEWHERE}. What a \
                 running server holds whose folder was moved or removed, its GET \
                 /api/admin/export tells"
            )
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            let what = match command {
                "check" | "backup" | "export" => "read the files in",
                _ if folder.is_dir() => "write the folder and the files in",
                _ => "make and write the folder",
            };
            format!("the user that runs sessiond must be allowed to {what} {path}; {ELSEWHERE}")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk".to_owned(),
        _ => ELSEWHERE.to_owned(),
    }
}

/// For the character files and their folder.
fn for_agents(kind: ErrorKind) -> Option<String> {
    match kind {
        ErrorKind::PermissionDenied => Some(format!(
            "the user that runs sessiond must be allowed to read it; {ELSEWHERE}"
        )),
        ErrorKind::NotADirectory => Some(format!(
            "it has to be a folder of character files, or not to be there; {ELSEWHERE}"
        )),
        ErrorKind::InvalidData => Some("save it as UTF-8".to_owned()),
        _ => None,
    }
}

/// For a server that failed.
pub(super) const SERVER_LOG: &str = "the server's log says why";

/// For a backup for which there can be no file.
pub(super) const NO_FILE: &str =
    "name a file in a folder that is there and that the user that runs sessiond may write";

/// For lines that are to be restored.
pub(super) const LINES: &str =
    "these are the lines of an export: `sessiond import FILE` makes a database of them";

/// For the file that is to be restored.
pub(super) fn for_backup(error: &OpenError) -> Option<&'static str> {
    match error {
        OpenError::InUse => {
            Some("stop it first, or make a backup of it with `sessiond backup FILE`")
        }
        OpenError::Foreign(_) => Some("name a file that `sessiond backup FILE` has made"),
        error if error.is_damage() => Some("choose another backup"),
        error => match error.io_kind()? {
            ErrorKind::NotFound | ErrorKind::IsADirectory => {
                Some("name a file that `sessiond backup FILE` has made")
            }
            ErrorKind::PermissionDenied => {
                Some("the user that runs sessiond must be allowed to read it")
            }
            _ => None,
        },
    }
}

/// For an address that cannot be listened on.
pub(super) fn for_address(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another program is using it, maybe another sessiond: stop that one, or choose another \
             port with --server-port"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose another port with --server-port"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose another one with --server-host, as 127.0.0.1 \
             or 0.0.0.0"
        }
        _ => "choose another address with --server-host and --server-port",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;
    use crate::settings::Layers;

    /// What a command says that has failed so.
    fn said(command: &str, error: anyhow::Error) -> String {
        let config = Config::read(Layers::default()).unwrap();
        format!("{:#}", add(error, command, &config))
    }

    fn refused() -> OpenError {
        io::Error::from(ErrorKind::PermissionDenied).into()
    }

    #[test]
    fn what_is_within_other_errors_is_found() {
        for error in [
            anyhow::Error::new(refused()),
            CopyError::Failed(refused()).into(),
            ImportError::Failed(refused()).into(),
            Err::<(), _>(refused()).context("here").unwrap_err(),
            anyhow::Error::new(refused()).context("here"),
        ] {
            let said = said("serve", error);
            let needed = "the user that runs sessiond must be allowed to ";
            assert!(said.contains(needed), "{said}");
            assert_eq!(said.matches("permission denied").count(), 1, "{said}");
        }
    }

    #[test]
    fn who_only_reads_needs_no_more() {
        let advice = |command| said(command, refused().into());
        assert!(advice("check").contains("allowed to read the files in /"));
        assert!(advice("restore").contains(" write the folder "));
    }

    #[test]
    fn a_new_file_that_is_damaged_is_not_taken_for_the_database() {
        let damaged = || OpenError::Damaged("it is cut off".into());
        assert!(said("import", damaged().into()).contains("sessiond check"));
        let new = ImportError::Failed(damaged()).into();
        assert!(!said("import", new).contains("sessiond check"));
    }

    #[test]
    fn what_is_damaged_can_be_put_back_or_saved() {
        for error in [
            CopyError::Unsound("an index row".into()).into(),
            anyhow::Error::new(CopyError::Failed(OpenError::Damaged("a page".into()))),
            OpenError::Damaged("a page".into()).into(),
        ] {
            let said = said("backup", error);
            for command in ["check", "restore --force FILE", "export", "import"] {
                assert!(said.contains(&format!("`sessiond {command}`")), "{said}");
            }
        }
        // What cannot even be opened is not exported either.
        let said = said("export", OpenError::Damaged("a page".into()).into());
        assert!(!said.contains("`sessiond export`"), "{said}");
    }

    #[test]
    fn agents_that_cannot_be_read_are_told_with_who_has_to() {
        let error = RegistryError::Io {
            path: PathBuf::from("data/agents"),
            error: ErrorKind::PermissionDenied.into(),
        };
        assert_eq!(
            said("agents", error.into()),
            "data/agents: permission denied; the user that runs sessiond must be allowed to read \
             it; --data-dir or DATA_DIR chooses another folder"
        );
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        assert_eq!(said("serve", anyhow::anyhow!("no")), "no");
        let newer = OpenError::Newer { found: 2, known: 1 };
        let words = newer.to_string();
        assert_eq!(said("serve", newer.into()), words);
    }
}
