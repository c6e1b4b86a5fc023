//! Measures the search of messages: how many a second a server searches, and the longest call.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;
use sessiond::clock::Clock;
use sessiond::domain::id::{MessageId, SessionId, TurnId};
use sessiond::domain::message::{Body, Message, Sender};
use sessiond::domain::turn::{Reply, TurnStart};
use sessiond::store::command::{CloseTurn, SendMessage};
use uuid::{NoContext, Uuid};

use crate::api::{Api, call, connect};
use crate::args::Options;
use crate::child::Server;
use crate::measurement::median;
use crate::million::fill::{self, Filler};
use crate::million::{agent, rules};
use crate::print;
use crate::report::progress;
use crate::target::Target;

/// The path of the search.
const SEARCH: &str = "/api/messaging/messages/search";

/// Number of messages in a session, half of them the agent's.
const PER_SESSION: usize = 20;

/// Number of sessions that are filled at once.
const BATCH: usize = 1024;

/// The report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    messages: usize,
    rounds: usize,
    searches: Vec<Outcome>,
}

/// The medians of a search through all messages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    search: &'static str,
    per_second: f64,
    /// Calls for one search, each of which continues the one before.
    calls: f64,
    longest_call_ms: f64,
}

/// One search through all messages.
struct Pass {
    elapsed: Duration,
    calls: usize,
    longest: Duration,
}

/// Fills a database, measures the searches and prints the report.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let directory = tempfile::TempDir::with_prefix_in("sessiond-load-", &options.directory)?;
    let agent = agent(directory.path(), options).await?;
    let own = directory.path().join("search");
    std::fs::create_dir_all(&own)?;
    let sessions = options.messages.div_ceil(PER_SESSION);
    let messages = sessions * PER_SESSION;
    fill(&own, &agent, sessions).await?;
    let server = Server::start(&own, &options.log, &[])?;
    let target = Target {
        address: server.address.clone(),
        token: None,
    };
    let api = Api::find(target, None).await?;
    let mut searches = Vec::new();
    for (search, query) in [
        ("a text that is nowhere", "no such text"),
        ("a text in another script", "нет такого текста"),
        ("no text, but an author", ""),
    ] {
        // The first pass fills the caches.
        pass(&api, query).await?;
        let mut passes = Vec::new();
        for _ in 0..options.rounds {
            passes.push(pass(&api, query).await?);
        }
        let seconds = |pass: &Pass| messages as f64 / pass.elapsed.as_secs_f64();
        searches.push(Outcome {
            search,
            per_second: median(passes.iter().map(seconds)),
            calls: median(passes.iter().map(|pass| pass.calls as f64)),
            longest_call_ms: median(passes.iter().map(|pass| pass.longest.as_secs_f64() * 1e3)),
        });
    }
    server.stop()?;
    let report = Report {
        messages,
        rounds: options.rounds,
        searches,
    };
    if options.json {
        return Ok(print::line(&serde_json::to_string_pretty(&report)?)?);
    }
    Ok(print::line(&report.text())?)
}

/// Searches all messages in as many calls as it takes. Nothing matches.
async fn pass(api: &Api, query: &str) -> anyhow::Result<Pass> {
    let mut connection = connect(&api.target).await?;
    let mut body = json!({ "query": query, "authorId": "00000000-0000-4000-8000-00000000dead" });
    if !query.is_empty() {
        body["authorId"] = json!(null);
    }
    let begun = Instant::now();
    let (mut calls, mut longest) = (0, Duration::ZERO);
    loop {
        let sent = Instant::now();
        let text = body.to_string();
        let page = call(&api.target, &mut connection, "POST", SEARCH, Some(&text)).await?;
        longest = longest.max(sent.elapsed());
        calls += 1;
        let found = page["messages"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(
            found == 0,
            "a search found {found} messages that do not match"
        );
        if page["complete"] == true {
            break;
        }
        let cursor = page["nextCursor"].as_str();
        body["cursor"] = json!(cursor.context("an incomplete search has no cursor")?);
    }
    Ok(Pass {
        elapsed: begun.elapsed(),
        calls,
        longest,
    })
}

/// Fills the database in a server's directory with sessions of [`PER_SESSION`] messages.
async fn fill(directory: &Path, agent: &str, sessions: usize) -> anyhow::Result<()> {
    let filler = Filler::open(directory, rules(&[])?, agent)?;
    let now = Clock::system().now();
    let day = fill::timeout(24 * 60);
    let created = filler.create(sessions, day, 1, |_| now, |_| {}).await?;
    let bar = progress((sessions * PER_SESSION) as u64).with_message("filling");
    for batch in created.chunks(BATCH) {
        for number in 0..PER_SESSION / 2 {
            let turns = batch.iter().map(|made| turn(&filler, made.id, number));
            for done in join_all(turns).await {
                done?;
            }
            bar.inc(2 * batch.len() as u64);
        }
    }
    bar.finish_and_clear();
    filler.close().await
}

/// Stores a message and its reply.
async fn turn(filler: &Filler, session: SessionId, number: usize) -> anyhow::Result<()> {
    let failed = |error| anyhow!("a message could not be stored: {error:?}");
    let sent = filler.store.submit(message(session, number)).await;
    let message: Arc<Message> = sent.map_err(failed)?.message;
    let reply = Reply {
        body: says(format!(
            "What is it about number {number} of your roses that worries you, and since when have \
             you had the feeling that your garden needs more of you than you can give?"
        )),
        ..Reply::default()
    };
    let close = CloseTurn {
        session_id: session,
        message_at: message.created_at,
        result: Ok(reply),
        partial: None,
    };
    filler.store.submit(close).await.map_err(failed)?;
    Ok(())
}

fn message(session: SessionId, number: usize) -> SendMessage {
    let id = || Uuid::new_v7(uuid::Timestamp::now(NoContext));
    SendMessage {
        session_id: session,
        message_id: MessageId(id()),
        turn_id: TurnId(id()),
        reply_id: MessageId(id()),
        body: says(format!(
            "I am worried about my garden, and about number {number} of my roses."
        )),
        sender: Sender::default(),
        sent_by: None,
        key: None,
        has_agent: true,
        beginning: TurnStart::AtOnce,
    }
}

fn says(content: String) -> Body {
    Body {
        content,
        ..Body::default()
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{} messages, median of {} searches\n\n{:<28}{:>14}{:>8}{:>18}",
            self.messages, self.rounds, "search", "messages/s", "calls", "longest call, ms"
        );
        for outcome in &self.searches {
            text.push_str(&format!(
                "\n{:<28}{:>14.0}{:>8.0}{:>18.1}",
                outcome.search, outcome.per_second, outcome.calls, outcome.longest_call_ms
            ));
        }
        text
    }
}
