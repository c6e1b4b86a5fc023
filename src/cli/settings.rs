//! `sessiond settings`

use super::columns;
use super::output::{note, one_line, print, print_json};
use crate::api::dto::SettingsAnswer;
use crate::app::{EffectiveSetting, SettingSource};
use crate::process::open_files;
use crate::settings::Config;

/// Prints the settings with which a server would start: those that are set, then the others. The
/// configuration was validated as at a start.
pub(super) fn run(config: &Config, is_json: bool) -> anyhow::Result<()> {
    for warning in &config.warnings {
        note(&one_line(warning));
    }
    let mut settings = config.settings.clone();
    let connections = open_files::connections(config.server.max_connections)?;
    settings.set_value("MAX_CONNECTIONS", connections.to_string());
    if is_json {
        return print_json(&SettingsAnswer::new(&settings));
    }
    let is_set = |it: &&EffectiveSetting| it.source != SettingSource::Default;
    let set = settings.iter().filter(is_set);
    let unset = settings.iter().filter(|setting| !is_set(setting));
    let rows: Vec<_> = set.chain(unset).map(cells).collect();
    print(&columns::format(&rows))
}

/// Returns the name, the value, where it was set, and the default of a setting that was set.
fn cells(setting: &EffectiveSetting) -> [String; 4] {
    let source = match setting.source {
        SettingSource::Flag => "flag",
        SettingSource::Environment => "environment",
        SettingSource::File => ".env",
        SettingSource::Default => "default",
    };
    let default = setting.default.filter(|_| source != "default");
    [
        setting.name.to_owned(),
        one_line(setting.value.as_deref().unwrap_or("-")),
        source.to_owned(),
        default.map_or(String::new(), |value| format!("default {value}")),
    ]
}
