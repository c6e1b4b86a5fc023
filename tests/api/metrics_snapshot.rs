//! The metric families at `/metrics`: names, types, units, help texts and labels are an interface.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use reqwest::{Method, header};
use serde_json::json;

use crate::harness::{Builder, HOUR, MINUTE, SECOND, Server, answer, at, eventually};

/// Placeholder for label values that are not fixed.
const ANY: &str = "<any>";

/// Families by name.
#[derive(Default)]
struct Families(BTreeMap<String, Family>);

#[derive(Default)]
struct Family {
    /// The comments, in order.
    comments: Vec<String>,
    /// The values of each label, by the name of the sample.
    samples: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Families {
    /// Adds the families of a scrape.
    fn add(&mut self, text: &str) {
        let mut family = &mut Family::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let name = comment.split(' ').nth(1).unwrap_or_default();
                family = self.0.entry(name.to_owned()).or_default();
                add(&mut family.comments, line);
                continue;
            }
            let (sample, _value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let labels = labels.trim_end_matches('}').split("\",");
            let values = family.samples.entry(name.to_owned()).or_default();
            for label in labels.filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once("=\"").unwrap();
                let value = match name {
                    "agent" | "version" => ANY,
                    _ => value.trim_end_matches('"'),
                };
                add(values.entry(name.to_owned()).or_default(), value);
            }
        }
    }
}

fn add(values: &mut Vec<String>, value: &str) {
    if !values.iter().any(|known| known == value) {
        values.push(value.to_owned());
    }
}

impl std::fmt::Display for Families {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for family in self.0.values() {
            for comment in &family.comments {
                writeln!(f, "{comment}")?;
            }
            for (sample, labels) in &family.samples {
                f.write_str(sample)?;
                for (label, values) in labels {
                    let mut values = values.clone();
                    // The bounds of buckets have an order of their own.
                    if label != "le" {
                        values.sort_unstable();
                    }
                    write!(f, " {label}={}", values.join("|"))?;
                }
                f.write_char('\n')?;
            }
        }
        Ok(())
    }
}

/// The families in both formats.
#[derive(Default)]
struct Scrapes {
    plain: Families,
    open: Families,
}

impl Scrapes {
    async fn add(&mut self, server: &Server) {
        for (families, accept) in [
            (&mut self.plain, "*/*"),
            (&mut self.open, "application/openmetrics-text"),
        ] {
            let request = server.request(Method::GET, "/metrics");
            let response = request.header(header::ACCEPT, accept).send().await;
            families.add(&response.unwrap().text().await.unwrap());
        }
    }
}

#[tokio::test]
async fn families_and_labels_match_the_snapshot() {
    let mut server = Server::builder().agent_timeout(HOUR).start().await;
    let mut scrapes = Scrapes::default();
    let session = server.session().await;
    server.ask(&session, "spend 9 2|say hello").await;
    let failing = json!({ "content": "fail", "transport": "http" });
    server.send(&session, failing).await.expect(502);
    let _deleted = server.begin(&session, "say one|hold").await;
    server.delete(&at(&session, "")).await.expect(200);

    // The running turn outlives its session up to the agent's timeout; the one behind it does not.
    let fixed = json!({ "timeoutConfig": { "autoRenew": false } });
    let session = server.session_with(fixed).await;
    let timed_out = server.wait_for(&session, "hold");
    server.history_of(&session, 1).await;
    server.settle().await;
    let expired = server.wait_for(&session, "say never");
    server.history_of(&session, 2).await;
    server.settle().await;
    server.advance(30 * MINUTE);
    expired.await.unwrap().expect(410);
    server.advance(30 * MINUTE + SECOND);
    timed_out.await.unwrap().expect(504);

    let brewing = Method::from_bytes(b"BREW").unwrap();
    answer(server.request(brewing, "/healthz")).await;
    server.get("/unknown").await.expect(404);
    server.settle().await;
    scrapes.add(&server).await;

    // A turn that is interrupted by a stop, of an agent that is removed afterwards.
    let session = server.session().await;
    let cut_off = server.begin(&session, "say one|hold").await;
    server.restart_with(Builder::without_scripted).await;
    drop(cut_off);
    eventually("the turn's end", async || {
        let text = server.get_text("/metrics").await;
        text.contains("agent_gone").then_some(())
    })
    .await;
    scrapes.add(&server).await;
    server.stop().await;

    insta::assert_snapshot!("plain", scrapes.plain.to_string());
    insta::assert_snapshot!("openmetrics", scrapes.open.to_string());
}
