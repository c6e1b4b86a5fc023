//! The line of a quarantined record.

use serde::{Deserialize, Serialize};

use super::fields::{id, time};
use crate::domain::archive::Quarantined;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct QuarantinedLine {
    r#type: String,
    /// Nil if it is unknown.
    session_id: String,
    record: String,
    reason: String,
    found_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    bytes: String,
}

impl QuarantinedLine {
    pub(super) fn new(record: &Quarantined) -> Self {
        Self {
            r#type: "damaged".into(),
            session_id: record.owner.to_string(),
            record: record.location.clone(),
            reason: record.reason.clone(),
            found_at: record.found_at.to_string(),
            expires_at: record.expires_at.map(|at| at.to_string()),
            bytes: hex::encode(&record.bytes),
        }
    }

    pub(super) fn into_item(self) -> Result<Quarantined, String> {
        let expires_at = self.expires_at.map(|text| time("expiresAt", &text));
        Ok(Quarantined {
            owner: id("sessionId", &self.session_id)?,
            location: self.record,
            reason: self.reason,
            found_at: time("foundAt", &self.found_at)?,
            expires_at: expires_at.transpose()?,
            bytes: hex::decode(&self.bytes).map_err(|_| "bytes is not hexadecimal")?,
        })
    }
}
