//! The user whom a call erases.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use utoipa::IntoParams;

use crate::api::dto::requests::fields;
use crate::app::error::ValidationError;
use crate::domain::id::UserId;
use crate::domain::number;
use crate::json::Field;

const NAME: &str = "userId";

/// Unlike other queries, this one keeps every `userId`: which of two is meant is never guessed.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ErasedUserQuery {
    /// The user, given exactly once
    #[param(rename = "userId", value_type = String, format = Uuid)]
    pub(super) users: Vec<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for ErasedUserQuery {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs = query.map(|query| query.0).unwrap_or_default().into_iter();
        let users = pairs.filter_map(|(name, value)| (name == NAME).then_some(value));
        Ok(Self {
            users: users.collect(),
        })
    }
}

impl ErasedUserQuery {
    /// Returns the user. Fails if there is not exactly one.
    pub(crate) fn validate(&self) -> Result<UserId, ValidationError> {
        match self.users.as_slice() {
            [] => Err(ValidationError::MissingFields(vec![NAME])),
            [only] if number::is_blank(only) => Err(ValidationError::MissingFields(vec![NAME])),
            [only] => fields::uuid(NAME, Field::Value(only.clone())).map(UserId),
            several => Err(ValidationError::RepeatedUuid {
                field: NAME,
                value: several.join(", "),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

    #[test]
    fn a_user_is_given_exactly_once() {
        let validate = |users: &[&str]| {
            let users = users.iter().map(|&user| user.to_owned()).collect();
            ErasedUserQuery { users }.validate()
        };
        assert_eq!(validate(&[USER]).unwrap().to_string(), USER);
        let missing = ValidationError::MissingFields(vec!["userId"]);
        for users in [&[][..], &[""], &[" \t"]] {
            assert_eq!(validate(users), Err(missing.clone()), "{users:?}");
        }
        let malformed = validate(&["ada"]);
        assert!(matches!(malformed, Err(ValidationError::Uuid { .. })));
        for users in [[USER, USER], [USER, ""], ["", ""]] {
            let repeated = ValidationError::RepeatedUuid {
                field: "userId",
                value: users.join(", "),
            };
            assert_eq!(validate(&users), Err(repeated), "{users:?}");
        }
    }
}
