//! Starts of the real binary on invalid data directories.

use std::fs;
use std::path::Path;

use redb::{Database, TableDefinition};
use serde_json::json;

use super::api::{Api, answer};
use super::start::refused;
use super::support::server::{Builder, Server};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Returns a server with these character files.
fn with_agents(files: &[(&str, &str)]) -> Builder {
    let builder = Server::builder();
    let dir = builder.data_dir().join("agents");
    fs::create_dir_all(&dir).expect("a directory can be created");
    for (name, text) in files {
        fs::write(dir.join(name), text).expect("a file can be written");
    }
    builder
}

/// Asserts that a message contains all of these parts.
fn tells(log: &str, parts: &[&str]) {
    for part in parts {
        assert!(log.contains(part), "{part} is missing in {log}");
    }
}

/// Returns a server whose database is this file.
fn with_database(bytes: &[u8]) -> Builder {
    let builder = Server::builder();
    fs::create_dir(builder.data_dir()).expect("a directory can be created");
    fs::write(database_of(&builder), bytes).expect("a file can be written");
    builder
}

fn database_of(builder: &Builder) -> std::path::PathBuf {
    builder.data_dir().join("sessiond.redb")
}

/// Returns the output of a start, which must be refused and leave the data directory unchanged.
fn refused_unchanged(builder: &Builder) -> String {
    let before = contents(&builder.data_dir());
    let log = refused(builder);
    assert!(
        contents(&builder.data_dir()) == before,
        "the data directory has changed: {log}"
    );
    log
}

/// Returns the files of a directory, by name.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let entry = entry.expect("the directory can be read");
        if entry.path().is_file() {
            let bytes = fs::read(entry.path()).expect("the file can be read");
            files.push((entry.file_name().to_string_lossy().into_owned(), bytes));
        }
    }
    files.sort();
    files
}

#[test]
fn an_invalid_character_file_is_reported_with_its_line() {
    for (text, line, reason) in [
        ("{\n  \"name\": \"Ada\",\n}", 3, "trailing comma"),
        ("{\n  \"bio\": \"no name\"\n}", 3, "name"),
        ("", 1, "EOF"),
        ("[\"Ada\"]", 1, "JSON object"),
    ] {
        let builder = with_agents(&[("ada.json", text), ("zoe.json", r#"{"name":"Zoe"}"#)]);
        let log = refused(&builder);
        let place = format!("agents/ada.json:{line}: ");
        assert!(log.contains(&place), "{place} is missing in {log}");
        assert!(log.contains(reason), "{reason} is missing in {log}");
        assert!(
            !database_of(&builder).exists(),
            "a refused start leaves nothing"
        );
    }
}

#[test]
fn an_unknown_backend_is_reported() {
    let text =
        "{\n\"name\": \"Ada\",\n\"settings\": {\n\"backend\": { \"type\": \"oracle\" }\n}\n}";
    let log = refused(&with_agents(&[("ada.json", text)]));
    for part in ["agents/ada.json:4: ", "backend.type", "oracle", "eliza"] {
        assert!(log.contains(part), "{part} is missing in {log}");
    }
}

#[test]
fn two_files_with_the_same_id_are_reported() {
    let id = "0a0b0c0d-0000-0000-0000-000000000001";
    let ada = json!({ "id": id, "name": "Ada" }).to_string();
    let bob = json!({ "id": id.to_uppercase(), "name": "Bob" }).to_string();
    let log = refused(&with_agents(&[("a.json", &ada), ("b.json", &bob)]));
    for part in ["agents/a.json", "agents/b.json", id] {
        assert!(log.contains(part), "{part} is missing in {log}");
    }
}

#[tokio::test]
async fn the_banner_names_the_agents_and_they_answer() {
    let server = with_agents(&[("ada.json", r#"{"name":"Ada"}"#)]).start();
    let log = server.log();
    assert!(log.contains(r#"agent name="Eliza""#), "{log}");
    assert!(log.contains(r#"agent name="Ada""#), "{log}");
    assert!(log.contains(r#"backend="eliza""#), "{log}");
    assert!(log.contains("last_stop=\"none, the database is new\""));
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let mut first = Server::start();
    let api = Api::new(first.url());
    let user = "4a4d0f0e-51a7-4c36-9b3c-0c7a3ce3f2a1";
    answer(api.create(user))
        .await
        .expect("an answer")
        .expect(201);
    let builder = Server::builder().env("DATA_DIR", first.data_dir());
    let log = refused(&builder);
    let holder = format!(
        "sessiond.redb: another process has the database open; a server (process {}) holds it: \
         stop it first",
        first.pid()
    );
    tells(
        &log,
        &[
            &holder,
            "choose another directory with --data-dir or DATA_DIR",
        ],
    );
    answer(api.create(user))
        .await
        .expect("an answer")
        .expect(201);

    // After a crash, no lock is left.
    first.kill9();
    let second = builder.start();
    let list = Api::new(second.url()).get("").await;
    assert_eq!(list.expect("an answer").expect(200)["total"], 2);
}

#[test]
fn a_file_that_is_not_a_database_is_refused_unchanged() {
    let text = "Dear diary, ".repeat(1000);
    let mut almost_nothing = vec![0; 8192];
    almost_nothing[5000] = 1;
    for bytes in [text.as_bytes(), b"x", &almost_nothing] {
        let log = refused_unchanged(&with_database(bytes));
        tells(
            &log,
            &["sessiond.redb", "not a sessiond database", "move it away"],
        );
    }
}

#[test]
fn a_database_of_another_program_is_refused_unchanged() {
    let other: TableDefinition<u64, u64> = TableDefinition::new("another program's");
    let builder = with_database(b"");
    let path = database_of(&builder);
    let database = Database::create(&path).expect("a database can be created");
    let txn = database.begin_write().expect("it can be written");
    let mut table = txn.open_table(other).expect("a table can be created");
    table.insert(1, 2).expect("a row can be written");
    drop(table);
    txn.commit().expect("it can be committed");
    for bytes in stopped_and_crashed(database, &path) {
        let log = refused_unchanged(&with_database(&bytes));
        assert!(log.contains("not a sessiond database"), "{log}");
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_unchanged() {
    // [version of the record][its checksum][the schema version]
    let schema = |version: u8| {
        let crc = crc32fast::hash(&[version]).to_le_bytes();
        [vec![1], crc.to_vec(), vec![version]].concat()
    };
    let a_later_layout = vec![2, 1, 2, 3, 4, 5, 6, 7, 8];
    for value in [schema(4), schema(99), a_later_layout] {
        let mut server = Server::start();
        assert!(server.terminate().success());
        let path = server.data_dir().join("sessiond.redb");
        let database = Database::create(&path).expect("the database can be opened");
        let mut txn = database.begin_write().expect("it can be written");
        // Like sessiond, so that a crash leaves nothing to repair.
        txn.set_quick_repair(true);
        let mut table = txn.open_table(META).expect("the table is there");
        let before = table
            .insert("schema_version", value.as_slice())
            .expect("a row can be written");
        assert_eq!(before.map(|row| row.value().to_vec()), Some(schema(3)));
        drop(table);
        txn.commit().expect("it can be committed");
        for bytes in stopped_and_crashed(database, &path) {
            let log = refused_unchanged(&with_database(&bytes));
            assert!(log.contains("newer"), "{log}");
        }
    }
}

/// Returns the database file after a stop, and after a crash.
fn stopped_and_crashed(database: Database, path: &Path) -> [Vec<u8>; 2] {
    let crashed = fs::read(path).expect("the file can be read");
    drop(database);
    let stopped = fs::read(path).expect("the file can be read");
    assert!(stopped != crashed, "a stop is recorded");
    [stopped, crashed]
}

#[test]
fn a_truncated_database_is_refused_without_a_panic() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let path = server.data_dir().join("sessiond.redb");
    let bytes = fs::read(&path).expect("the file can be read");
    for length in [100, 4096, bytes.len() / 2, bytes.len() - 1] {
        let builder = with_database(&bytes[..length]);
        let log = refused_unchanged(&builder);
        tells(
            &log,
            &[
                "sessiond.redb",
                "`sessiond check` lists its faults",
                "`sessiond restore --force FILE` puts a backup in its place",
                "The file was left as it is",
            ],
        );
    }
}

#[test]
fn an_empty_or_zeroed_file_is_refused_unchanged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("new.redb");
    drop(Database::create(&path).expect("a database can be created"));
    let mut bytes = fs::read(&path).expect("the file can be read");
    // redb sets the length, writes a header of 320 bytes, and its magic number of 9 bytes last.
    bytes[..9].fill(0);
    bytes[320..].fill(0);
    let zeros = vec![0; bytes.len()];
    for bytes in [b"", bytes.as_slice(), &zeros, &[0]] {
        let builder = with_database(bytes);
        let log = refused_unchanged(&builder);
        let advice = "move it away, and the next start creates a new database";
        tells(
            &log,
            &["not a sessiond database", "restore --force FILE", advice],
        );
        fs::remove_file(database_of(&builder)).expect("it can be removed");
        let log = builder.start().log();
        assert!(log.contains("the database is new"), "{log}");
    }
}

/// An interrupted creation of the database leaves a file with another name.
#[test]
fn a_database_whose_creation_was_interrupted_is_created_anew() {
    let builder = Server::builder();
    fs::create_dir(builder.data_dir()).expect("a directory can be created");
    let left = builder.data_dir().join(".sessiond-left.partial");
    fs::write(&left, [0; 8192]).expect("a file can be written");
    let mut server = builder.start();
    assert!(!left.exists());
    assert!(server.log().contains("the database is new"));
    assert!(server.terminate().success());
    server.restart();
    let log = server.log();
    assert!(log.contains(r#"last_stop="clean""#), "{log}");
}

#[test]
fn an_unusable_directory_is_reported() {
    let builder = Server::builder();
    fs::write(builder.data_dir(), "a file").expect("a file can be written");
    let log = refused(&builder);
    let name = builder.data_dir().display().to_string();
    tells(&log, &[&name, "--data-dir or DATA_DIR"]);
}

/// Not even root may create a file in `/sys`, but nearly everywhere else.
#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_directory_is_reported_with_the_user_who_needs_it() {
    for (dir, needed) in [
        (
            "/sys",
            "allowed to write the directory and the files in /sys;",
        ),
        (
            "/sys/x",
            "allowed to create and write the directory /sys/x;",
        ),
    ] {
        let log = refused(&Server::builder().env("DATA_DIR", dir));
        let who = "the user that runs sessiond must be ";
        tells(&log, &[who, needed, "--data-dir or DATA_DIR"]);
        assert_eq!(log.matches("(os error").count(), 1, "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[test]
fn an_agents_directory_that_is_not_one_is_reported() {
    let builder = Server::builder();
    fs::create_dir(builder.data_dir()).expect("a directory can be created");
    fs::write(builder.data_dir().join("agents"), "a file").expect("a file can be written");
    let log = refused(&builder);
    tells(
        &log,
        &[
            "data/agents: ",
            "a directory of character files",
            "DATA_DIR",
        ],
    );
}
