//! The refusal to listen on a public address without authentication.

use crate::support::server::Server;

#[test]
fn the_refusal_of_a_public_address_suggests_a_token_that_works() {
    let refused = Server::builder().env("SERVER_HOST", "0.0.0.0").run();
    assert!(!refused.status.success());
    assert!(!refused.log.contains("listening"), "{}", refused.log);
    let (_, token) = refused
        .log
        .split_once("ELIZA_SERVER_AUTH_TOKEN=")
        .expect("it suggests a token");
    let token = token.split_whitespace().next().unwrap();
    let mut server = Server::builder()
        .env("SERVER_HOST", "0.0.0.0")
        .env("ELIZA_SERVER_AUTH_TOKEN", token)
        .start();
    assert!(!server.log().contains(token));
    assert!(server.terminate().success());
}
