//! Secrets: each is a setting, or the content of a file that a setting names.

use std::io::ErrorKind::{FileTooLarge, IsADirectory, Other, PermissionDenied};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::error::ConfigError;
use super::input_file;
use super::layers::Layers;

/// The largest file of a secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The permission bits for group and others to read or write a file.
const OTHERS: u32 = 0o066;

/// The settings that hold secrets. Each has another one with the suffix `_FILE`, the path of a
/// file.
pub(super) const SERVER_TOKEN: &str = "ELIZA_SERVER_AUTH_TOKEN";
pub(super) const ADMIN_TOKEN: &str = "SESSIOND_ADMIN_TOKEN";
pub(super) const JWT_KEY: &str = "JWT_SECRET";

/// The values of a secret and of its file.
type Set = (Option<SecretString>, Option<String>);

/// Reads secrets.
pub(super) struct Secrets<'a> {
    pub(super) layers: &'a Layers,
    pub(super) warnings: &'a mut Vec<String>,
}

impl Secrets<'_> {
    /// Reads a token. White space around it is ignored, since no HTTP header can carry it.
    pub(super) fn token(
        &mut self,
        name: &str,
        set: Set,
    ) -> Result<Option<SecretString>, ConfigError> {
        let Some(token) = self.read(name, set)? else {
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
        Ok(Some(token.into()))
    }

    /// Reads a key, exactly as it is set.
    pub(super) fn key(
        &mut self,
        name: &str,
        set: Set,
    ) -> Result<Option<SecretString>, ConfigError> {
        let key = self.read(name, set)?;
        let is_padded = |key: &SecretString| key.expose_secret().trim() != key.expose_secret();
        if key.as_ref().is_some_and(is_padded) {
            self.warnings.push(format!(
                "{} begins or ends with white space, which is part of the key",
                placed(self.layers, name)
            ));
        }
        Ok(key)
    }

    fn read(&mut self, name: &str, set: Set) -> Result<Option<SecretString>, ConfigError> {
        self.warnings.extend(blanks(self.layers, name));
        let file_name = file_name(name);
        match set {
            (Some(_), Some(_)) => Err(ConfigError(format!(
                "{} and {} are both set; leave one of them out",
                self.layers.placed(name),
                self.layers.placed(&file_name)
            ))),
            (None, Some(path)) => self.in_file(&file_name, &path).map(Some),
            (value, None) => Ok(value),
        }
    }

    /// Reads the secret in a file, without one trailing line end.
    fn in_file(&mut self, name: &str, path: &str) -> Result<SecretString, ConfigError> {
        let (bytes, mode) = input_file::read(Path::new(path), MAX_BYTES)
            .map_err(|error| unreadable(self.layers, name, path, &error))?;
        let Ok(text) = str::from_utf8(&bytes) else {
            let reason = "not UTF-8 text; expected a file that contains the secret as UTF-8";
            return Err(self.layers.invalid(name, reason));
        };
        // Some editors write a byte order mark, which is not part of the secret.
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let line = text.strip_suffix("\r\n").or(text.strip_suffix('\n'));
        let text = line.unwrap_or(text);
        if text.trim().is_empty() {
            let reason = "the file is empty; write the secret into it, or leave the setting out";
            return Err(self.layers.invalid(name, reason));
        }
        if mode & OTHERS != 0 {
            self.warnings.push(format!(
                "{}: users other than its owner may read or change the file (mode {mode:04o}); \
                 restrict it to its owner (mode 0400 or 0600)",
                self.layers.shown(name)
            ));
        }
        Ok(text.into())
    }
}

/// Returns the setting that names the file of a secret.
pub(super) fn file_name(name: &str) -> String {
    format!("{name}_FILE")
}

/// Formats a secret and where it was set, without its value.
pub(super) fn placed(layers: &Layers, name: &str) -> String {
    let file_name = file_name(name);
    match layers.get(&file_name) {
        Some(_) => format!("{name} from {}", layers.shown(&file_name)),
        None => layers.placed(name),
    }
}

/// Returns a warning for each layer in which a secret is set but empty. Skips layers that a value
/// overrides, and an empty file name if the secret is set.
pub(super) fn blanks(layers: &Layers, name: &str) -> Vec<String> {
    let file_name = file_name(name);
    let mut names = vec![name, &file_name];
    let used = names.iter().find(|name| layers.get(name).is_some());
    let used = used.map(|used| format!("; using {}", layers.placed(used)));
    if used.is_some() {
        names.pop();
    }
    let used = used.unwrap_or_default();
    let warning =
        |name, origin| format!("{name} ({origin}) is set but empty, so it counts as unset{used}");
    let warnings = names.iter().flat_map(|name| {
        let blanks = layers.blanks(name);
        blanks.map(move |origin| (name, origin))
    });
    warnings
        .map(|(name, origin)| warning(name, origin))
        .collect()
}

fn unreadable(layers: &Layers, name: &str, path: &str, error: &std::io::Error) -> ConfigError {
    let is_path =
        Path::new(path).is_absolute() || path.starts_with("./") || path.starts_with("../");
    let exists = matches!(
        error.kind(),
        FileTooLarge | IsADirectory | Other | PermissionDenied
    );
    if is_path || exists {
        let reason = format!(
            "cannot be read: {error}; expected the path of a file that contains only the secret, \
             and that the user that runs sessiond may read"
        );
        return layers.invalid(name, &reason);
    }
    ConfigError(format!(
        "invalid {}: no such file in the working directory; expected the path of a file that \
         contains the secret, not the secret itself. The value is not shown, since it could be a \
         secret",
        layers.placed(name)
    ))
}

#[cfg(test)]
mod tests;
