//! The line of a record that cannot be decoded.

use serde::{Deserialize, Serialize};

use super::{id, time};
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SetAsideLine {
    r#type: String,
    /// Nil where it is not known.
    session_id: String,
    record: String,
    reason: String,
    found_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    bytes: String,
}

impl SetAsideLine {
    pub(super) fn of(aside: &Quarantined) -> Self {
        Self {
            r#type: "damaged".into(),
            session_id: aside.owner.to_string(),
            record: aside.place.clone(),
            reason: aside.reason.clone(),
            found_at: aside.found_at.to_string(),
            expires_at: aside.expires_at.map(|at| at.to_string()),
            bytes: hex::encode(&aside.bytes),
        }
    }

    pub(super) fn into_item(self) -> Result<Quarantined, String> {
        let expires_at = self.expires_at.map(|text| time("expiresAt", &text));
        Ok(Quarantined {
            owner: SessionId::from(id("sessionId", &self.session_id)?),
            place: self.record,
            reason: self.reason,
            found_at: time("foundAt", &self.found_at)?,
            expires_at: expires_at.transpose()?,
            bytes: hex::decode(&self.bytes).map_err(|_| "bytes is no hexadecimal text")?,
        })
    }
}
