//! A large database: what a server costs when it holds a million sessions.

mod churn;
mod expiry;
mod fill;
mod size;
mod standing;
mod table;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use sessiond::clock::Clock;
use sessiond::domain::rules::Rules;
use sessiond::domain::time::Millis;
use sessiond::settings::{Config, Layers};
use tempfile::TempDir;

use self::fill::{Filler, Made};
use self::size::Size;
use self::table::Table;
use crate::api::Api;
use crate::args::Options;
use crate::child::Server;
use crate::report::progress;
use crate::target::Target;
use crate::{print, usage};

/// How many there are unless told otherwise.
const SESSIONS: usize = 1_000_000;

/// A day.
const DAY: Millis = Millis(24 * 60 * 60 * 1000);

/// How long it takes until the first of them expires.
const HALF_HOUR: Millis = Millis(30 * 60 * 1000);

/// Of how many filled sessions one is known by its id.
const KEEP: usize = 100;

/// What the sizes are called.
struct Weighed {
    data: &'static str,
    file: &'static str,
    disk: &'static str,
}

const FILLED: Weighed = Weighed {
    data: "its data",
    file: "the file, times its data",
    disk: "on the disk, times its data",
};

const AFTER_A_DAY: Weighed = Weighed {
    data: "its data after a day",
    file: "the file after a day, times its data",
    disk: "on the disk after a day, times its data",
};

/// A run.
struct Run<'a> {
    options: &'a Options,
    sessions: usize,
    folder: PathBuf,
    agent: String,
}

/// Measures and prints.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let folder = TempDir::with_prefix_in("sessiond-load-", &options.folder)?;
    let run = Run {
        options,
        sessions: options.sessions.unwrap_or(SESSIONS),
        folder: folder.path().join("large"),
        agent: agent(folder.path(), options).await?,
    };
    std::fs::create_dir_all(&run.folder)?;
    let mut table = Table::new(run.sessions);
    let known = run.fill(&mut table).await?;
    run.weigh(&mut table, &FILLED)?;
    standing::measure(&run, &known, &mut table).await?;
    expiry::measure(&run, &mut table).await?;
    churn::measure(&run, &mut table).await?;
    run.weigh(&mut table, &AFTER_A_DAY)?;
    table.load_average = usage::load_average();
    let text = if options.json {
        serde_json::to_string_pretty(&table)?
    } else {
        table.text()
    };
    Ok(print::line(&text)?)
}

/// The built-in agent's id.
async fn agent(folder: &Path, options: &Options) -> anyhow::Result<String> {
    let own = folder.join("agent");
    std::fs::create_dir_all(&own)?;
    let server = Server::start(&own, &options.log, &[])?;
    let agent = find(&server).await?.agent;
    server.stop()?;
    Ok(agent)
}

/// The API of a server of ours.
async fn find(server: &Server) -> anyhow::Result<Api> {
    let target = Target {
        address: server.address.clone(),
        token: None,
    };
    Api::find(target, None).await
}

/// The rules of a server with these settings.
fn rules(settings: &[(&str, &str)]) -> anyhow::Result<Rules> {
    let variables = settings.iter().copied();
    Ok(Config::read(Layers::from_variables(variables))
        .context("the settings of a server")?
        .rules)
}

impl Run<'_> {
    /// Fills the database as a day would: sessions of a day's life, created all through the last
    /// one, the oldest of which expire in half an hour.
    async fn fill(&self, table: &mut Table) -> anyhow::Result<Vec<Made>> {
        let filler = Filler::open(&self.folder, rules(&[])?, &self.agent)?;
        let span = Millis(DAY.0 - HALF_HOUR.0);
        let times = fill::spread(Clock::system().now() - span, span, self.sessions);
        let bar = progress(self.sessions as u64).with_message("filling");
        let begun = Instant::now();
        let day = fill::timeout(24 * 60);
        let known = filler.create(self.sessions, day, KEEP, times, |done| bar.inc(done as u64));
        let known = known.await?;
        bar.finish_and_clear();
        filler.close().await?;
        table.tell(
            "filling through the store",
            begun.elapsed().as_secs_f64(),
            "s",
        );
        Ok(known)
    }

    fn weigh(&self, table: &mut Table, what: &Weighed) -> anyhow::Result<()> {
        let size = Size::of(&self.folder)?;
        let times = |bytes: u64| bytes as f64 / size.data.max(1) as f64;
        table.tell(what.data, size.data as f64 / 1e6, "MB");
        table.hold(what.file, times(size.file), "", 1.3);
        table.tell(what.disk, times(size.disk), "");
        Ok(())
    }
}
