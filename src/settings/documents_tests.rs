//! The documents agree with the declaration of the settings.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Args as _, Command};

use super::declaration::Settings;
use super::env_file::EnvFile;
use super::values::Number;
use super::*;

/// The numbers as the protocol's contract has them: default, least and most.
const NUMBERS: [(&str, u32, u32, u32); 16] = [
    ("SESSION_DEFAULT_TIMEOUT_MINUTES", 30, 1, 10_080),
    ("SESSION_MIN_TIMEOUT_MINUTES", 5, 1, 60),
    ("SESSION_MAX_TIMEOUT_MINUTES", 1_440, 60, 10_080),
    ("SESSION_MAX_DURATION_MINUTES", 720, 60, 20_160),
    ("SESSION_WARNING_THRESHOLD_MINUTES", 5, 1, 60),
    ("SESSION_CLEANUP_INTERVAL_MINUTES", 5, 1, 60),
    ("SESSION_RETENTION_MINUTES", 10_080, 0, 5_256_000),
    ("SESSION_TIME_SCALE", 1, 1, 60_000),
    ("MAX_CONNECTIONS", 10_000, 1, 1_000_000),
    ("KEEP_ALIVE_SECONDS", 75, 5, 3_600),
    ("SESSIOND_CACHE_MB", 256, 16, 65_536),
    ("SESSION_VERIFY_INTERVAL_HOURS", 168, 0, 8_760),
    ("MAX_PENDING_TURNS", 10_000, 1, 1_000_000),
    ("RATE_LIMIT_CREATES_PER_MINUTE", 0, 0, u32::MAX),
    ("RATE_LIMIT_MESSAGES_PER_MINUTE", 0, 0, u32::MAX),
    ("MAX_SESSIONS_PER_USER", 0, 0, u32::MAX),
];

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap()
}

fn help(setting: &Setting) -> String {
    setting.arg().get_help().unwrap().to_string()
}

fn default(setting: &Setting) -> Option<&str> {
    let value = setting.arg().get_default_values().first()?;
    value.to_str()
}

/// The bounds that a help states, as `1-60`.
fn bounds(help: &str) -> Option<&str> {
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    help.split([' ', ',', ';']).find(|word| {
        let ends = word.split_once('-');
        ends.is_some_and(|(min, max)| is_number(min) && is_number(max))
    })
}

/// What a number of this text is read as, and whether it was clamped; none where it is refused.
fn read(setting: &Setting, text: &str) -> Option<(u32, bool)> {
    let command = Settings::augment_args(Command::new("settings").no_binary_name(true));
    let argument = format!("--{}={text}", setting.flag());
    let matches = command.try_get_matches_from([argument]).ok()?;
    let id = setting.arg().get_id().as_str();
    let number: &Number = matches.try_get_one(id).ok()??;
    Some((number.value, number.warning.is_some()))
}

#[test]
fn numbers_have_their_defaults_and_bounds() {
    for (name, start, min, max) in NUMBERS {
        let setting = Setting::find(name).unwrap();
        assert_eq!(default(setting), Some(&*start.to_string()), "{name}");
        for (text, expected) in [
            (min.to_string(), Some((min, false))),
            (max.to_string(), Some((max, false))),
            (format!("+{max}"), Some((max, false))),
            ((u64::from(max) + 1).to_string(), Some((max, true))),
            ("9".repeat(50), Some((max, true))),
            // Nothing may mean 0 by accident.
            ("-1".into(), (min > 0).then_some((min, true))),
            (
                format!("-{}", "9".repeat(50)),
                (min > 0).then_some((min, true)),
            ),
            ("1.5".into(), None),
            ("0x10".into(), None),
            ("1 0".into(), None),
            ("-".into(), None),
        ] {
            assert_eq!(read(setting, &text), expected, "{name}={text}");
        }
        if min > 0 {
            assert_eq!(read(setting, "0"), Some((min, true)), "{name}");
        }
        // A limit is as large as its number can be.
        let stated = (max < u32::MAX).then(|| format!("{min}-{max}"));
        assert_eq!(bounds(&help(setting)), stated.as_deref(), "{name}");
    }
    let is_listed = |name: &str| NUMBERS.iter().any(|number| number.0 == name);
    for setting in SETTINGS.iter() {
        let is_number = read(setting, "1").is_some();
        assert_eq!(is_number, is_listed(setting.name()), "{}", setting.name());
    }
}

#[test]
fn names_flags_and_variables_are_the_same() {
    for setting in SETTINGS.iter() {
        let flag = setting.name().to_ascii_lowercase().replace('_', "-");
        assert_eq!(setting.flag(), flag);
        let variable = setting.arg().get_env().unwrap();
        assert_eq!(variable.to_str(), Some(setting.name()));
    }
}

#[test]
fn the_documentation_has_a_row_for_each_setting() {
    let page = document("docs/settings.md");
    let (_, table) = page
        .split_once("| variable | default | what it does |")
        .unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    for setting in SETTINGS.iter() {
        let name = setting.name();
        let rows = table.lines().filter(|row| {
            let cell = row.split('|').nth(1).unwrap_or_default();
            cell.contains(&format!("`{name}`"))
        });
        let rows: Vec<_> = rows.collect();
        if setting.arg().is_hide_set() {
            assert!(rows.is_empty(), "{name}");
            continue;
        }
        assert_eq!(rows.len(), 1, "{name}");
        let cells: Vec<_> = rows[0].split('|').map(str::trim).collect();
        if let Some(default) = default(setting) {
            assert_eq!(cells[2], default, "{name}");
        }
        let bounds = bounds(&help(setting)).map(|bounds| bounds.replace('-', "\u{2013}"));
        assert!(cells[3].contains(&bounds.unwrap_or_default()), "{name}");
    }
    let rows = table.lines().filter(|row| row.contains('`'));
    let named = rows.filter_map(|row| row.split('|').nth(1)?.split('`').nth(1));
    for name in named {
        assert!(Setting::find(name).is_some(), "{name}");
    }
}

#[test]
fn the_example_of_an_env_file_has_each_setting_with_its_default() {
    let mut wanted =
        "# The settings of sessiond with their defaults. Copy this file to .env in the \
                      working\n# directory, and remove the # before what you set.\n"
            .to_owned();
    let mut heading = "";
    for setting in SETTINGS.iter().filter(|it| !it.arg().is_hide_set()) {
        let of_this = setting.arg().get_help_heading().unwrap();
        if heading != of_this {
            heading = of_this;
            write!(wanted, "\n## {heading}\n").unwrap();
        }
        let (name, default) = (setting.name(), default(setting).unwrap_or_default());
        write!(wanted, "\n# {}\n#{name}={default}\n", help(setting)).unwrap();
    }
    let example = document(".env.example");
    assert!(example == wanted, ".env.example should be:\n{wanted}");

    let mut uncommented = String::new();
    for line in example.lines() {
        let setting = line
            .strip_prefix('#')
            .filter(|line| !line.starts_with([' ', '#']));
        writeln!(uncommented, "{}", setting.unwrap_or(line)).unwrap();
    }
    let file = EnvFile::parse(uncommented.as_bytes()).unwrap();
    assert!(file.values().count() > 25, "{uncommented}");
    let config = Config::read(Layers::from_variables(file.values())).unwrap();
    let defaults = Config::read(Layers::default()).unwrap();
    assert_eq!(
        format!("{:?}", config.rules),
        format!("{:?}", defaults.rules)
    );
    assert_eq!(
        format!("{:?}", config.server),
        format!("{:?}", defaults.server)
    );
    assert_eq!(
        config.warnings.len(),
        6,
        "only of empty secrets: {:?}",
        config.warnings
    );
}
