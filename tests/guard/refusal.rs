//! The refusal to listen to the world without a secret.

use crate::support::server::Server;

#[test]
fn the_refusal_to_listen_to_the_world_says_what_to_set_and_that_works() {
    let refused = Server::builder().env("SERVER_HOST", "0.0.0.0").run();
    assert!(!refused.status.success());
    assert!(!refused.log.contains("listening"), "{}", refused.log);
    let (_, token) = refused
        .log
        .split_once("ELIZA_SERVER_AUTH_TOKEN=")
        .expect("it names a token to copy");
    let token = token.split_whitespace().next().unwrap();
    let mut server = Server::builder()
        .env("SERVER_HOST", "0.0.0.0")
        .env("ELIZA_SERVER_AUTH_TOKEN", token)
        .start();
    assert!(!server.log().contains(token));
    assert!(server.terminate().success());
}
