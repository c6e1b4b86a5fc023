//! Systems without Unix sockets: the commands need the server stopped.

use std::path::Path;
use std::time::Duration;

use super::HttpService;

/// Serves nothing.
pub(crate) fn serve(
    _: &Path,
    _: Duration,
    _: HttpService,
    _: impl Future<Output = ()>,
) -> impl Future<Output = ()> {
    std::future::ready(())
}
