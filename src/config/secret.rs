//! The secrets: each as a setting, or in a file that a setting names.

use std::io::ErrorKind;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::ConfigError;
use super::input_file::{self, ReadError};
use super::source::Source;

/// The largest file of a secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The permission bits by which others than its owner may read or write a file.
const OTHERS: u32 = 0o066;

/// The two settings that a secret can come from.
#[derive(Clone, Copy)]
pub(super) struct SecretSetting {
    /// Holds the secret.
    pub(super) name: &'static str,
    /// Holds the path of a file with it.
    pub(super) file_name: &'static str,
}

pub(super) const SERVER_TOKEN: SecretSetting = SecretSetting {
    name: "ELIZA_SERVER_AUTH_TOKEN",
    file_name: "ELIZA_SERVER_AUTH_TOKEN_FILE",
};
pub(super) const ADMIN_TOKEN: SecretSetting = SecretSetting {
    name: "SESSIOND_ADMIN_TOKEN",
    file_name: "SESSIOND_ADMIN_TOKEN_FILE",
};
pub(super) const JWT_KEY: SecretSetting = SecretSetting {
    name: "JWT_SECRET",
    file_name: "JWT_SECRET_FILE",
};

/// Returns a token, if it is set. Blanks around it do not count: no HTTP header can carry them.
///
/// # Errors
/// As for [`key`]; or no header can carry the token.
pub(super) fn token(
    source: &mut Source,
    setting: SecretSetting,
) -> Result<Option<SecretString>, ConfigError> {
    let Some(token) = read(source, setting)? else {
        return Ok(None);
    };
    let token = token.expose_secret().trim();
    if token.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return Err(ConfigError::new(format!(
            "{} contains a line break or another control character, which no HTTP header can \
             carry, so that no client could send it; `sessiond token` prints a good one",
            setting.name
        )));
    }
    Ok(Some(SecretString::from(token)))
}

/// Returns a key, if it is set, exactly as it stands.
///
/// # Errors
/// Both settings are set, or the file cannot be read, or does not hold a secret.
pub(super) fn key(
    source: &mut Source,
    setting: SecretSetting,
) -> Result<Option<SecretString>, ConfigError> {
    let key = read(source, setting)?;
    let is_padded = |key: &SecretString| key.expose_secret().trim() != key.expose_secret();
    if key.as_ref().is_some_and(is_padded) {
        source.warn(format!(
            "{} begins or ends with white space, which is part of the key",
            setting.name
        ));
    }
    Ok(key)
}

/// Says of each place where a secret is set to nothing that this counts as unset. Places that a
/// value of higher precedence overrides are passed over, and empty names of files where there is
/// a secret all the same.
pub(super) fn blanks(source: &Source, setting: SecretSetting) -> Vec<String> {
    let SecretSetting { name, file_name } = setting;
    let used = [name, file_name]
        .into_iter()
        .find_map(|name| Some((name, source.given(name)?.origin)));
    let (names, instead) = match used {
        Some((name, origin)) => (&[setting.name][..], format!("; {name} {origin} is used")),
        None => (&[name, file_name][..], String::new()),
    };
    let places = names.iter().flat_map(|name| {
        let origins = source.blanks(name).into_iter();
        origins.map(move |origin| (name, origin))
    });
    places
        .map(|(name, origin)| {
            format!("{name} is set but empty {origin}, so it counts as unset{instead}")
        })
        .collect()
}

fn read(source: &mut Source, setting: SecretSetting) -> Result<Option<SecretString>, ConfigError> {
    for warning in blanks(source, setting) {
        source.warn(warning);
    }
    let SecretSetting { name, file_name } = setting;
    match (source.given(name), source.given(file_name)) {
        (Some(value), Some(file)) => Err(ConfigError::new(format!(
            "{name} ({}) and {file_name} ({}) are both set; leave one of them out",
            value.origin, file.origin
        ))),
        (Some(value), None) => Ok(Some(SecretString::from(value.text))),
        (None, Some(file)) => {
            let path = file.text.trim().to_owned();
            in_file(source, file_name, &path).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// Reads the secret in a file, less one line end.
fn in_file(source: &mut Source, name: &str, path: &str) -> Result<SecretString, ConfigError> {
    let file = input_file::read(Path::new(path), MAX_BYTES)
        .map_err(|error| unreadable(name, path, &error))?;
    let refused = |reason: &str| ConfigError::new(format!("{name} is {path:?}, {reason}"));
    let Ok(text) = str::from_utf8(&file.bytes) else {
        return Err(refused(
            "which is not UTF-8 text; expected a file that holds the secret as UTF-8",
        ));
    };
    // Some editors begin a file so; it tells the encoding, and is no part of the secret.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let text = text
        .strip_suffix("\r\n")
        .or(text.strip_suffix('\n'))
        .unwrap_or(text);
    if text.trim().is_empty() {
        return Err(refused(
            "which is empty; write the secret into the file, or leave the setting out",
        ));
    }
    if file.mode & OTHERS != 0 {
        source.warn(format!(
            "{name}: others than its owner may read or change {path:?} (mode {:04o}); allow its \
             owner alone (mode 0400 or 0600)",
            file.mode
        ));
    }
    Ok(SecretString::from(text))
}

fn unreadable(name: &str, path: &str, error: &ReadError) -> ConfigError {
    let reason = match error {
        ReadError::Io(error) if error.kind() == ErrorKind::NotFound && !is_surely_a_path(path) => {
            return ConfigError::new(format!(
                "{name} names a file that does not exist in the working directory; expected is \
                 the path of a file with the secret, not the secret itself. The value is not \
                 shown, since it could be one"
            ));
        }
        ReadError::Io(error) => format!(
            "which cannot be read: {error}; expected is the path of a file that the user that \
             runs sessiond may read"
        ),
        ReadError::Pipe => {
            "which is a pipe or a socket; expected is the path of a regular file".to_owned()
        }
        ReadError::TooLarge => {
            format!(
                "which is larger than {MAX_BYTES} bytes; expected is a file with the secret alone"
            )
        }
    };
    ConfigError::new(format!("{name} is {path:?}, {reason}"))
}

fn is_surely_a_path(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute() || path.starts_with(".") || path.starts_with("..")
}

#[cfg(test)]
mod tests;
