//! The settings of the running server, for operators.

/// The settings with the values that the server uses, in the order of the documentation. They
/// contain no secret.
#[derive(Debug, Clone, Default)]
pub struct EffectiveSettings(Vec<EffectiveSetting>);

/// A setting with the value that the server uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its name, which is its environment variable.
    pub name: &'static str,
    /// Its value as an operator would write it; [`SECRET_IS_SET`] instead of a secret; none if it
    /// is unset and has no default.
    pub value: Option<String>,
    /// Where it was set.
    pub source: SettingSource,
    /// The value that it has if it is not set anywhere.
    pub default: Option<&'static str>,
}

/// Where a setting was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSource {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In the `.env` file.
    File,
    /// Nowhere.
    Default,
}

/// What is shown instead of a secret.
pub const SECRET_IS_SET: &str = "(set)";

impl EffectiveSettings {
    /// Returns the settings in their order.
    pub fn iter(&self) -> impl Iterator<Item = &EffectiveSetting> {
        self.0.iter()
    }

    /// Replaces the value of a setting by the one that the server uses instead.
    pub fn set_value(&mut self, name: &str, value: String) {
        if let Some(setting) = self.0.iter_mut().find(|setting| setting.name == name) {
            setting.value = Some(value);
        }
    }
}

impl FromIterator<EffectiveSetting> for EffectiveSettings {
    fn from_iter<I: IntoIterator<Item = EffectiveSetting>>(settings: I) -> Self {
        Self(settings.into_iter().collect())
    }
}
