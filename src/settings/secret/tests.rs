use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::settings::Config;
use crate::settings::env_file::EnvFile;

/// A directory of secrets, readable only by their owner.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

fn owned(values: &[(&str, &str)]) -> Vec<(String, OsString)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
    values.iter().map(owned).collect()
}

/// Reads the settings of an environment.
fn read(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(Layers::from_variables(values.iter().copied()))
}

/// Reads the settings of flags, an environment and a `.env` file.
fn read_all(
    flags: &[(&str, &str)],
    environment: &[(&str, &str)],
    file: &str,
) -> Result<Config, ConfigError> {
    let file = EnvFile::parse(file.as_bytes()).unwrap();
    Config::read(Layers::new(owned(flags), owned(environment), file))
}

fn error(values: &[(&str, &str)]) -> String {
    read(values).unwrap_err().to_string()
}

fn shown(secret: Option<&SecretString>) -> Option<&str> {
    secret.map(SecretString::expose_secret)
}

#[rstest]
#[case("s3cret\n", "s3cret")]
#[case("s3cret\r\n", "s3cret")]
#[case("s3cret", "s3cret")]
#[case("s3cret\n\n", "s3cret\n")]
#[case("s3cret\r", "s3cret\r")]
#[case(" $s3cret#'\\n \n", " $s3cret#'\\n ")]
#[case("\u{FEFF}s3cret\n", "s3cret")]
fn a_file_gives_its_content_less_one_line_end(#[case] content: &str, #[case] expected: &str) {
    let directory = Directory::new();
    let path = directory.write("key", content);
    let config = read(&[("JWT_SECRET_FILE", &path)]).unwrap();
    assert_eq!(shown(config.auth.tokens.jwt.as_ref()), Some(expected));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn each_secret_may_come_from_a_file() {
    let directory = Directory::new();
    let [server, admin, jwt] = [
        "server-token-from-file",
        "admin-token-from-file",
        "k".repeat(32).as_str(),
    ]
    .map(|secret| directory.write(secret, format!("{secret}\n")));
    let config = read(&[
        ("ELIZA_SERVER_AUTH_TOKEN_FILE", &server),
        ("SESSIOND_ADMIN_TOKEN_FILE", &admin),
        ("JWT_SECRET_FILE", &jwt),
    ])
    .unwrap();
    let tokens = &config.auth.tokens;
    assert_eq!(
        shown(tokens.server.as_ref()),
        Some("server-token-from-file")
    );
    assert_eq!(shown(tokens.admin.as_ref()), Some("admin-token-from-file"));
    assert_eq!(shown(tokens.jwt.as_ref()), Some(&*"k".repeat(32)));
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn links_are_followed_as_container_platforms_make_them() {
    let directory = Directory::new();
    fs::create_dir(directory.path("..2026")).unwrap();
    directory.write("..2026/token", "token-of-the-cluster\n");
    symlink("..2026", directory.path("..data")).unwrap();
    symlink("..data/token", directory.path("token")).unwrap();
    let path = directory.path("token");
    let config = read(&[("ELIZA_SERVER_AUTH_TOKEN_FILE", path.to_str().unwrap())]).unwrap();
    let token = config.auth.tokens.server.as_ref();
    assert_eq!(shown(token), Some("token-of-the-cluster"));
    assert_eq!(config.warnings, [""; 0]);
}

#[rstest]
#[case(b"", "the file is empty")]
#[case(b"\n", "the file is empty")]
#[case(b" \r\n", "the file is empty")]
#[case(b"\xEF\xBB\xBF\n", "the file is empty")]
#[case(b"\xFF\xFEk\0e\0y\0", "not UTF-8 text")]
fn a_file_without_a_secret_stops_the_start(#[case] content: &[u8], #[case] reason: &str) {
    let directory = Directory::new();
    let path = directory.write("token", content);
    for name in [SERVER_TOKEN, ADMIN_TOKEN, JWT_KEY].map(file_name) {
        let error = error(&[(&name, &path)]);
        assert!(
            error.starts_with(&format!("invalid {name} {path:?} (environment): {reason}")),
            "{error}"
        );
    }
}

#[test]
fn a_file_may_have_64_kib_and_no_more() {
    let directory = Directory::new();
    let largest = directory.write("largest", vec![b'x'; 64 << 10]);
    assert!(read(&[("JWT_SECRET_FILE", &largest)]).is_ok());
    let larger = directory.write("larger", vec![b'x'; (64 << 10) + 1]);
    let error = error(&[("JWT_SECRET_FILE", &larger)]);
    assert!(error.contains("larger than 65536 bytes"), "{error}");
}

#[test]
fn an_unreadable_file_stops_the_start() {
    let directory = Directory::new();
    let missing = directory.path("missing");
    let refused = error(&[("JWT_SECRET_FILE", missing.to_str().unwrap())]);
    assert!(
        refused.contains("missing\" (environment): cannot be read: No such file"),
        "{refused}"
    );
    let directory = directory.path("");
    let refused = error(&[("JWT_SECRET_FILE", directory.to_str().unwrap())]);
    assert!(
        refused.contains(": cannot be read: is a directory"),
        "{refused}"
    );
    let refused = error(&[("JWT_SECRET_FILE", "/dev/zero")]);
    assert!(refused.contains("larger than"), "{refused}");
    let refused = error(&[("JWT_SECRET_FILE", "/dev/null")]);
    assert!(refused.contains("the file is empty"), "{refused}");
}

#[test]
fn a_secret_instead_of_a_path_is_not_shown() {
    let refused = error(&[("SESSIOND_ADMIN_TOKEN_FILE", "s3cret")]);
    assert!(
        refused.contains("SESSIOND_ADMIN_TOKEN_FILE (environment): no such file"),
        "{refused}"
    );
    assert!(!refused.contains("s3cret"), "{refused}");
}

#[test]
fn a_secret_and_its_file_together_stop_the_start_wherever_they_are_set() {
    let directory = Directory::new();
    let path = directory.write("key", "key");
    let file = format!("\nJWT_SECRET_FILE={path}");
    let both = read_all(&[("JWT_SECRET", "s3cret")], &[], &file);
    assert_eq!(
        both.unwrap_err().to_string(),
        "JWT_SECRET (flag --jwt-secret) and JWT_SECRET_FILE (line 2 of .env) are both set; leave \
         one of them out"
    );
    let one = read_all(&[("JWT_SECRET", " ")], &[], &file).unwrap();
    assert_eq!(shown(one.auth.tokens.jwt.as_ref()), Some("key"));
}

#[rstest]
#[case(0o600, false)]
#[case(0o400, false)]
#[case(0o640, true)]
#[case(0o604, true)]
#[case(0o444, true)]
#[case(0o620, true)]
fn a_file_that_others_may_read_is_warned_about(#[case] mode: u32, #[case] is_warned_about: bool) {
    let directory = Directory::new();
    let path = directory.write("token", "a-token-of-sixteen");
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    let config = read(&[("ELIZA_SERVER_AUTH_TOKEN_FILE", &path)]).unwrap();
    let warning = format!(
        "ELIZA_SERVER_AUTH_TOKEN_FILE {path:?} (environment): users other than its owner \
         may read or change the file (mode {mode:04o}); restrict it to its owner (mode 0400 or \
         0600)"
    );
    let expected = if is_warned_about {
        vec![warning]
    } else {
        vec![]
    };
    assert_eq!(config.warnings, expected);
}

#[test]
fn an_empty_secret_counts_as_unset_and_is_warned_about() {
    for (name, value) in [
        ("ELIZA_SERVER_AUTH_TOKEN", ""),
        ("SESSIOND_ADMIN_TOKEN", " \t"),
        ("JWT_SECRET", "\n"),
        ("JWT_SECRET_FILE", ""),
    ] {
        let config = read(&[(name, value)]).unwrap();
        assert!(config.auth.tokens.are_unset());
        let expected = format!("{name} (environment) is set but empty, so it counts as unset");
        assert_eq!(config.warnings, [expected]);
    }
    let refused = error(&[("SERVER_HOST", "0.0.0.0"), ("JWT_SECRET", "")]);
    assert!(
        refused.starts_with("JWT_SECRET (environment) is set but empty"),
        "{refused}"
    );
}

#[test]
fn the_warning_about_an_empty_secret_names_the_one_used_instead() {
    const NAME: &str = "SESSIOND_ADMIN_TOKEN";
    const TOKEN: &str = "a-token-of-sixteen";
    let directory = Directory::new();
    let path = directory.write("token", TOKEN);
    let warning =
        "SESSIOND_ADMIN_TOKEN (environment) is set but empty, so it counts as unset; using ";
    for (flags, empty, file, expected) in [
        (
            &[][..],
            NAME,
            format!("{NAME}={TOKEN}"),
            Some("SESSIOND_ADMIN_TOKEN (line 1 of .env)"),
        ),
        (
            &[],
            NAME,
            format!("{NAME}_FILE={path}"),
            Some("SESSIOND_ADMIN_TOKEN_FILE (line 1 of .env)"),
        ),
        // An empty value that another one overrides is not worth a warning.
        (&[(NAME, TOKEN)], NAME, String::new(), None),
        (
            &[(NAME, TOKEN)],
            "SESSIOND_ADMIN_TOKEN_FILE",
            String::new(),
            None,
        ),
    ] {
        let config = read_all(flags, &[(empty, "")], &file).unwrap();
        assert_eq!(shown(config.auth.tokens.admin.as_ref()), Some(TOKEN));
        let expected = expected.map(|used| format!("{warning}{used}"));
        assert_eq!(config.warnings, Vec::from_iter(expected));
    }
}

#[test]
fn blanks_around_a_token_do_not_count_but_those_around_a_key_do() {
    let config = read(&[("ELIZA_SERVER_AUTH_TOKEN", " a-token-of-sixteen\n")]).unwrap();
    assert_eq!(
        shown(config.auth.tokens.server.as_ref()),
        Some("a-token-of-sixteen")
    );
    let key = format!("{}\n", "k".repeat(32));
    let values = [
        ("JWT_SECRET", &*key),
        ("SESSIOND_ADMIN_TOKEN", "a-token-of-sixteen"),
    ];
    let config = read(&values).unwrap();
    assert_eq!(shown(config.auth.tokens.jwt.as_ref()), Some(&*key));
    assert_eq!(
        config.warnings,
        ["JWT_SECRET (environment) begins or ends with white space, which is part of the key"]
    );
}

#[test]
fn a_token_that_no_header_can_carry_stops_the_start() {
    let directory = Directory::new();
    let path = directory.write("token", "s3cret\nof two lines\n");
    for (name, value) in [
        ("ELIZA_SERVER_AUTH_TOKEN_FILE", &*path),
        ("ELIZA_SERVER_AUTH_TOKEN", "s3cret\u{0}"),
    ] {
        let error = error(&[(name, value)]);
        assert!(
            error.starts_with("invalid ELIZA_SERVER_AUTH_TOKEN "),
            "{error}"
        );
        assert!(error.contains("a line break or another"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
