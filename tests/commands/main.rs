//! The commands that work on the data, with the real binary.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]

mod admin;
mod archive;
mod backups;
mod chat;
mod chat_terminal;
mod checks;
mod colors;
mod damage;
mod data;
mod elizaos;
mod erase_user;
mod greeting;
mod import_elizaos;
mod issued_jwt;
mod json;
#[path = "../support/jwt.rs"]
mod jwt;
mod merge;
mod moved;
mod outputs;
mod running;
mod sessions;
mod settings;
mod socket;
#[path = "../support/mod.rs"]
mod support;
mod webhook;
