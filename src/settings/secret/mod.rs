//! The secrets: each as a setting, or in a file that a setting names.

use std::io::{self, ErrorKind};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::ConfigError;
use super::input_file;
use super::layers::Layers;

/// The largest file of a secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The permission bits by which others than its owner may read or write a file.
const OTHERS: u32 = 0o066;

/// The settings that hold secrets. Each has a second one with `_FILE` behind its name, which
/// holds the path of a file.
pub(super) const SERVER_TOKEN: &str = "ELIZA_SERVER_AUTH_TOKEN";
pub(super) const ADMIN_TOKEN: &str = "SESSIOND_ADMIN_TOKEN";
pub(super) const JWT_KEY: &str = "JWT_SECRET";

/// Reads secrets.
pub(super) struct Secrets<'a> {
    pub(super) layers: &'a Layers,
    pub(super) warnings: &'a mut Vec<String>,
}

impl Secrets<'_> {
    /// Returns a token, if it is set. Blanks around it do not count: no HTTP header can carry them.
    ///
    /// # Errors
    /// As for [`key`](Self::key); or no header can carry the token.
    pub(super) fn token(
        &mut self,
        name: &str,
        value: Option<SecretString>,
        file: Option<String>,
    ) -> Result<Option<SecretString>, ConfigError> {
        let Some(token) = self.read(name, value, file)? else {
            return Ok(None);
        };
        let token = token.expose_secret().trim();
        if token.contains(|c: char| c.is_ascii_control() && c != '\t') {
            return Err(ConfigError(format!(
                "invalid {}: a line break or another control character, which no HTTP header can \
                 carry, so that no client could send it; `sessiond token` prints a good one",
                placed(self.layers, name)
            )));
        }
        Ok(Some(SecretString::from(token)))
    }

    /// Returns a key, if it is set, exactly as it stands.
    ///
    /// # Errors
    /// Both settings are set, or the file cannot be read, or does not hold a secret.
    pub(super) fn key(
        &mut self,
        name: &str,
        value: Option<SecretString>,
        file: Option<String>,
    ) -> Result<Option<SecretString>, ConfigError> {
        let key = self.read(name, value, file)?;
        let is_padded = |key: &SecretString| key.expose_secret().trim() != key.expose_secret();
        if key.as_ref().is_some_and(is_padded) {
            self.warnings.push(format!(
                "{} begins or ends with white space, which is part of the key",
                placed(self.layers, name)
            ));
        }
        Ok(key)
    }

    fn read(
        &mut self,
        name: &str,
        value: Option<SecretString>,
        file: Option<String>,
    ) -> Result<Option<SecretString>, ConfigError> {
        self.warnings.extend(blanks(self.layers, name));
        let file_name = file_name(name);
        match (value, file) {
            (Some(_), Some(_)) => Err(ConfigError(format!(
                "{} and {} are both set; leave one of them out",
                self.layers.placed(name),
                self.layers.placed(&file_name)
            ))),
            (None, Some(path)) => self.in_file(&file_name, &path).map(Some),
            (value, None) => Ok(value),
        }
    }

    /// Reads the secret in a file, less one line end.
    fn in_file(&mut self, name: &str, path: &str) -> Result<SecretString, ConfigError> {
        let file = input_file::read(Path::new(path), MAX_BYTES)
            .map_err(|error| unreadable(self.layers, name, path, &error))?;
        let Ok(text) = str::from_utf8(&file.bytes) else {
            let reason = "not UTF-8 text; expected a file that holds the secret as UTF-8";
            return Err(self.layers.invalid(name, reason));
        };
        // Some editors begin a file so; it tells the encoding, and is no part of the secret.
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let text = text
            .strip_suffix("\r\n")
            .or(text.strip_suffix('\n'))
            .unwrap_or(text);
        if text.trim().is_empty() {
            let reason = "the file is empty; write the secret into it, or leave the setting out";
            return Err(self.layers.invalid(name, reason));
        }
        if file.mode & OTHERS != 0 {
            self.warnings.push(format!(
                "{}: others than its owner may read or change the file (mode {:04o}); allow its \
                 owner alone (mode 0400 or 0600)",
                self.layers.shown(name),
                file.mode
            ));
        }
        Ok(SecretString::from(text))
    }
}

fn file_name(name: &str) -> String {
    format!("{name}_FILE")
}

/// A secret with the place where it was set.
pub(super) fn placed(layers: &Layers, name: &str) -> String {
    let file_name = file_name(name);
    match layers.get(&file_name) {
        Some(_) => format!("{name} from {}", layers.shown(&file_name)),
        None => layers.placed(name),
    }
}

/// Says of each place where a secret is set to nothing that this counts as unset. Places that a
/// value of higher precedence overrides are skipped, and empty names of files where there is a
/// secret all the same.
pub(super) fn blanks(layers: &Layers, name: &str) -> Vec<String> {
    let file_name = file_name(name);
    let used = [name, &file_name]
        .into_iter()
        .find(|name| layers.get(name).is_some());
    let (names, instead) = match used {
        Some(used) => (vec![name], format!("; using {}", layers.placed(used))),
        None => (vec![name, &file_name], String::new()),
    };
    let places = names
        .into_iter()
        .flat_map(|name| layers.blanks(name).map(move |origin| (name, origin)));
    places
        .map(|(name, origin)| {
            format!("{name} ({origin}) is set but empty, so it counts as unset{instead}")
        })
        .collect()
}

fn unreadable(layers: &Layers, name: &str, path: &str, error: &io::Error) -> ConfigError {
    if is_surely_a_path(path) || is_there(error) {
        let reason = format!(
            "cannot be read: {error}; expected the path of a file with the secret alone that the \
             user that runs sessiond may read"
        );
        return layers.invalid(name, &reason);
    }
    ConfigError(format!(
        "invalid {}: no such file in the working directory; expected the path of a file with the \
         secret, not the secret itself. The value is not shown, since it could be one",
        layers.placed(name)
    ))
}

/// Whether a file exists that could not be read. A secret may have no form of a name at all.
fn is_there(error: &io::Error) -> bool {
    use ErrorKind::{FileTooLarge, IsADirectory, Other, PermissionDenied};

    matches!(
        error.kind(),
        FileTooLarge | IsADirectory | Other | PermissionDenied
    )
}

fn is_surely_a_path(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute() || path.starts_with(".") || path.starts_with("..")
}

#[cfg(test)]
mod tests;
