//! Everything that was acknowledged survives a crash, and nothing is stored twice.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sessiond::clock::Clock;
use sessiond::events::EventBus;
use sessiond::settings::{Config, Layers};
use sessiond::store::Store;
use uuid::Uuid;

use super::api::{Api, answer};
use super::audit::{self, Findings};
use super::client::{Client, Tracked};
use super::rng::{self, Rng};
use super::support::process;
use super::support::server::Server;

/// The number of clients, unless the environment sets it.
const CLIENTS: u32 = 8;

/// The number of crashes, unless the environment sets it.
const CRASHES: u32 = 12;

/// The variables for a longer run.
const CLIENTS_VARIABLE: &str = "SESSIOND_CRASH_CLIENTS";
const CRASHES_VARIABLE: &str = "SESSIOND_CRASHES";

/// The longest time under load before a crash, in milliseconds.
const LONGEST_RUN: u64 = 900;

/// The longest time before a deletion is interrupted, in milliseconds.
const LONGEST_DELETION: u64 = 20;

/// The longest time before a start is interrupted, in milliseconds.
const LONGEST_START: u64 = 60;

/// The number of interrupted first starts.
const FIRST_STARTS: u32 = 30;

/// The longest time before a first start is interrupted, in microseconds.
const LONGEST_FIRST_START: u64 = 25_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_sigkill() {
    let seed = rng::seed();
    eprintln!("{}={seed} makes the same choices again", rng::SEED);
    let mut rng = Rng::new(seed);
    let mut server = Server::start();
    let number = number_of(CLIENTS_VARIABLE, CLIENTS);
    let mut clients = clients(&server, seed, number).await;
    let mut unheard = Findings::default();

    for crash in 1..=number_of(CRASHES_VARIABLE, CRASHES) {
        let api = Api::new(server.url());
        let killed = Arc::new(AtomicBool::new(false));
        let running: Vec<_> = clients
            .into_iter()
            .map(|client| tokio::spawn(client.run(api.clone(), Arc::clone(&killed))))
            .collect();
        tokio::time::sleep(Duration::from_millis(rng.below(LONGEST_RUN))).await;
        killed.store(true, Ordering::SeqCst);
        server.kill9();
        let ended = join_all(running).await.into_iter();
        clients = ended
            .map(|client| client.expect("a client received an unexpected answer"))
            .collect();
        if rng.below(3) == 0 {
            let after = Duration::from_millis(rng.below(LONGEST_START));
            cut_off_start(server.home(), &server.data_dir(), after);
        }

        let since = Instant::now();
        server.restart();
        let started = since.elapsed();
        let found = audit(&mut clients, &Api::new(server.url())).await;
        let has_open_turns = server.log().contains("resuming the turns");
        eprintln!(
            "crash {crash}: {found:?}, turns cut off: {has_open_turns}, started in {started:?}, \
             audited by {:?}",
            since.elapsed()
        );
        unheard.stored_unheard += found.stored_unheard;
        unheard.not_stored += found.not_stored;
    }
    assert!(
        unheard.stored_unheard + unheard.not_stored > 0,
        "no crash interrupted a call"
    );

    let found = audit(&mut clients, &Api::new(server.url())).await;
    interrupt_deletion(&mut server, &clients[0].sessions[0].id, &mut rng).await;
    assert!(server.terminate().success(), "{}", server.log());
    check_file(&server, found.sessions - 1).await;
}

/// Returns a number from the environment, or the default.
fn number_of(variable: &str, usual: u32) -> u32 {
    let text = std::env::var(variable);
    text.map_or(usual, |text| text.parse().expect("a number"))
}

/// Kills the server while it deletes a session, which takes several transactions at its size.
async fn interrupt_deletion(server: &mut Server, session: &str, rng: &mut Rng) {
    let (api, id) = (Api::new(server.url()), session.to_owned());
    let deletion = tokio::spawn(async move { api.delete(&id).await });
    tokio::time::sleep(Duration::from_millis(rng.below(LONGEST_DELETION))).await;
    server.kill9();
    let acknowledged = deletion.await.expect("the call ends").is_ok();
    server.restart();
    let api = Api::new(server.url());
    let again = api
        .delete(session)
        .await
        .expect("the server is running")
        .status;
    eprintln!("deletion: acknowledged {acknowledged}, then {again}");
    assert!(
        again == 404 || (again == 200 && !acknowledged),
        "{again} after a deletion that was acknowledged: {acknowledged}"
    );
    let messages = api.get(&format!("/{session}/messages")).await;
    assert_eq!(messages.expect("the server is running").status, 404);
}

/// Creates this many clients, with a shared session.
pub(super) async fn clients(server: &Server, seed: u64, number: u32) -> Vec<Client> {
    let request = Api::new(server.url()).create(&Uuid::new_v4().to_string());
    let shared = answer(request)
        .await
        .expect("the server is running")
        .expect(201);
    (0..number)
        .map(|number| Client::new(number, seed, Tracked::new(&shared, true)))
        .collect()
}

pub(super) async fn audit(clients: &mut [Client], api: &Api) -> Findings {
    let own = clients.iter_mut().map(|client| async {
        let mut findings = Findings::default();
        audit::own_sessions(client, api, &mut findings).await;
        findings
    });
    let mut all = Findings::default();
    for one in join_all(own).await {
        all.sessions += one.sessions;
        all.messages += one.messages;
        all.stored_unheard += one.stored_unheard;
        all.not_stored += one.not_stored;
    }
    audit::shared_session(clients, api, &mut all).await;
    all
}

#[test]
fn an_interrupted_first_start_does_not_prevent_the_next_one() {
    let seed = rng::seed();
    eprintln!("{}={seed} makes the same choices again", rng::SEED);
    let mut rng = Rng::new(seed);
    for _ in 0..FIRST_STARTS {
        let builder = Server::builder();
        let after = Duration::from_micros(rng.below(LONGEST_FIRST_START));
        cut_off_start(builder.home(), &builder.data_dir(), after);
        let files = std::fs::read_dir(builder.data_dir()).map_or(0, Iterator::count);
        let mut server = builder.start();
        let log = server.log();
        eprintln!("interrupted after {after:?}, with {files} files: {log}");
        let last_stop = ["none, the database is new", "unclean"];
        assert!(last_stop.iter().any(|text| log.contains(text)), "{log}");
        assert!(server.terminate().success());
    }
}

/// Starts the server and kills it, possibly before it listens.
fn cut_off_start(home: &Path, data_dir: &Path, after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sessiond"))
        .current_dir(home)
        .env_clear()
        .env("DATA_DIR", data_dir)
        .env("SERVER_PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary under test can be started");
    std::thread::sleep(after);
    let ended = child.try_wait().expect("a child can be waited for");
    assert!(ended.is_none(), "the start failed: {ended:?}");
    process::kill(&mut child);
}

/// Checks every record, index row and counter of the file.
pub(super) async fn check_file(server: &Server, sessions: u64) {
    let config = Config::read(Layers::default()).expect("the defaults are valid");
    let (store, opened) = Store::open(
        &server.data_dir().join("sessiond.redb"),
        config.storage.cache_bytes,
        config.rules,
        Clock::system(),
        EventBus::default(),
    )
    .expect("the file can be opened");
    assert_eq!(opened.clean_stop, Some(true));
    assert_eq!(opened.sessions, sessions);
    let faults = store.check().expect("the file can be read");
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(store.close(false).await);
}
