//! The settings as operators see them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{EffectiveSetting, EffectiveSettings, SettingSource};

/// The settings as operators see them.
#[derive(ToSchema, Serialize)]
pub(crate) struct SettingsAnswer<'a> {
    /// In the order of the documentation.
    settings: Vec<SettingInfo<'a>>,
}

/// A setting with the value that the server uses.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct SettingInfo<'a> {
    /// Its name, which is its environment variable.
    #[schema(example = "SERVER_PORT")]
    name: &'static str,
    /// Its value as an operator would write it, within its bounds; `(set)` if it is a secret; null
    /// if it is unset and has no default.
    #[schema(value_type = Option<String>)]
    value: Option<&'a str>,
    /// Where it was set. A secret that is read from a file has the source of the setting that names
    /// the file.
    source: SettingOrigin,
    /// The value that it has if it is not set; null if it then has none.
    #[schema(value_type = Option<String>)]
    default: Option<&'static str>,
}

/// Where a setting was set.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum SettingOrigin {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In the `.env` file.
    File,
    /// Nowhere.
    Default,
}

impl<'a> SettingsAnswer<'a> {
    pub(crate) fn new(settings: &'a EffectiveSettings) -> Self {
        Self {
            settings: settings.iter().map(SettingInfo::from).collect(),
        }
    }
}

impl<'a> From<&'a EffectiveSetting> for SettingInfo<'a> {
    fn from(setting: &'a EffectiveSetting) -> Self {
        Self {
            name: setting.name,
            value: setting.value.as_deref(),
            source: match setting.source {
                SettingSource::Flag => SettingOrigin::Flag,
                SettingSource::Environment => SettingOrigin::Environment,
                SettingSource::File => SettingOrigin::File,
                SettingSource::Default => SettingOrigin::Default,
            },
            default: setting.default,
        }
    }
}
