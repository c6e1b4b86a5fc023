//! The first limit of the machine: a server that only answers.

use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use tokio::net::TcpListener;

use crate::serve;

/// Answers every request with this many bytes, until standard input ends.
pub(crate) fn run(ready: &Path, bytes: usize) -> anyhow::Result<()> {
    let body = Bytes::from(vec![b'x'; bytes]);
    let answer = async move |_: Bytes| ([(header::CONTENT_TYPE, "application/json")], body.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        serve::announce(ready, &listener)?;
        // Connections that are still open at the end are not waited for.
        tokio::select! {
            served = async { axum::serve(listener, Router::new().fallback(answer)).await } => served?,
            () = serve::input_ends() => {}
        }
        Ok(())
    })
}
