//! The table of results.

use serde::Serialize;

/// A number and its target.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: &'static str,
    value: f64,
    unit: &'static str,
    /// The largest acceptable value, if there is a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<f64>,
    /// Whether the target is met.
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// All results.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    sessions: usize,
    /// The load average at the end.
    pub(crate) load_average: Option<f64>,
    rows: Vec<Row>,
}

impl Table {
    /// Returns an empty table.
    pub(crate) fn new(sessions: usize) -> Self {
        Self {
            sessions,
            ..Self::default()
        }
    }

    /// Adds a number without a target.
    pub(crate) fn add(&mut self, what: &'static str, value: f64, unit: &'static str) {
        self.rows.push(Row {
            what,
            value,
            unit,
            target: None,
            met: None,
        });
    }

    /// Adds a number that should be at most `target`.
    pub(crate) fn add_with_target(
        &mut self,
        what: &'static str,
        value: f64,
        unit: &'static str,
        target: f64,
    ) {
        let met = Some(value <= target);
        self.rows.push(Row {
            what,
            value,
            unit,
            target: Some(target),
            met,
        });
    }

    /// Returns the table as text.
    pub(crate) fn text(&self) -> String {
        let load = self
            .load_average
            .map_or_else(|| "?".into(), |load| load.to_string());
        let mut text = format!(
            "{} sessions, load average {load} at the end\n",
            self.sessions
        );
        for row in &self.rows {
            let target = row
                .target
                .map_or_else(String::new, |target| format!("at most {target}"));
            let met = row.met.map_or("", |met| if met { "yes" } else { "no" });
            let line = format!(
                "\n{:<52}{:>12.3} {:<10}{target:<14}{met}",
                row.what, row.value, row.unit
            );
            text.push_str(line.trim_end());
        }
        text
    }
}
