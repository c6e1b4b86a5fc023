//! Measures a server with a database of a million sessions.

mod churn;
mod comparison;
mod expiry;
pub(crate) mod fill;
mod size;
mod table;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use sessiond::clock::Clock;
use sessiond::domain::rules::Rules;
use sessiond::domain::time::Millis;
use sessiond::settings::{Config, Layers};
use tempfile::TempDir;

use self::fill::{Filler, SeededSession};
use self::size::Size;
use self::table::Table;
use crate::api::Api;
use crate::args::Options;
use crate::child::Server;
use crate::report::progress;
use crate::target::Target;
use crate::{print, usage};

/// The default number of sessions.
const SESSIONS: usize = 1_000_000;

/// A day.
const DAY: Millis = Millis(24 * 60 * 60 * 1000);

/// The time until the first of them expires.
const HALF_HOUR: Millis = Millis(30 * 60 * 1000);

/// One of this many created sessions is remembered by its id.
const KEEP: usize = 100;

/// Labels of the sizes in the table.
struct SizeLabels {
    data: &'static str,
    file: &'static str,
    disk: &'static str,
}

const FILLED: SizeLabels = SizeLabels {
    data: "data",
    file: "length of the file / data",
    disk: "bytes on disk / data",
};

const AFTER_A_DAY: SizeLabels = SizeLabels {
    data: "data after a day",
    file: "length of the file / data, after a day",
    disk: "bytes on disk / data, after a day",
};

/// The state of the whole measurement.
struct Run<'a> {
    options: &'a Options,
    sessions: usize,
    directory: PathBuf,
    agent: String,
}

/// Measures and prints the table.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let directory = TempDir::with_prefix_in("sessiond-load-", &options.directory)?;
    let run = Run {
        options,
        sessions: options.sessions.unwrap_or(SESSIONS),
        directory: directory.path().join("large"),
        agent: agent(directory.path(), options).await?,
    };
    std::fs::create_dir_all(&run.directory)?;
    let mut table = Table::new(run.sessions);
    let known = run.fill(&mut table).await?;
    run.add_size(&mut table, &FILLED)?;
    comparison::measure(&run, &known, &mut table).await?;
    expiry::measure(&run, &mut table).await?;
    churn::measure(&run, &mut table).await?;
    run.add_size(&mut table, &AFTER_A_DAY)?;
    table.load_average = usage::load_average();
    let text = if options.json {
        serde_json::to_string_pretty(&table)?
    } else {
        table.text()
    };
    Ok(print::line(&text)?)
}

/// Returns the built-in agent's id.
pub(crate) async fn agent(directory: &Path, options: &Options) -> anyhow::Result<String> {
    let own = directory.join("agent");
    std::fs::create_dir_all(&own)?;
    let server = Server::start(&own, &options.log, &[])?;
    let agent = find(&server).await?.agent;
    server.stop()?;
    Ok(agent)
}

/// Returns the API of a server that this program started.
async fn find(server: &Server) -> anyhow::Result<Api> {
    let target = Target {
        address: server.address.clone(),
        token: None,
    };
    Api::find(target, None).await
}

/// Returns the rules of a server with these settings.
pub(crate) fn rules(settings: &[(&str, &str)]) -> anyhow::Result<Rules> {
    let variables = settings.iter().copied();
    Ok(Config::read(Layers::from_variables(variables))
        .context("the settings of a server")?
        .rules)
}

impl Run<'_> {
    /// Fills the database as a day of traffic would: sessions that live for a day, created over the
    /// last day, of which the oldest expires in half an hour.
    async fn fill(&self, table: &mut Table) -> anyhow::Result<Vec<SeededSession>> {
        let filler = Filler::open(&self.directory, rules(&[])?, &self.agent)?;
        let span = Millis(DAY.0 - HALF_HOUR.0);
        let times = fill::spread(Clock::system().now() - span, span, self.sessions);
        let bar = progress(self.sessions as u64).with_message("filling");
        let begun = Instant::now();
        let day = fill::timeout(24 * 60);
        let known = filler.create(self.sessions, day, KEEP, times, |done| bar.inc(done as u64));
        let known = known.await?;
        bar.finish_and_clear();
        filler.close().await?;
        table.add(
            "filling through the store",
            begun.elapsed().as_secs_f64(),
            "s",
        );
        Ok(known)
    }

    fn add_size(&self, table: &mut Table, what: &SizeLabels) -> anyhow::Result<()> {
        let size = Size::of(&self.directory)?;
        let times = |bytes: u64| bytes as f64 / size.data.max(1) as f64;
        table.add(what.data, size.data as f64 / 1e6, "MB");
        table.add_with_target(what.file, times(size.file), "", 1.3);
        table.add(what.disk, times(size.disk), "");
        Ok(())
    }
}
