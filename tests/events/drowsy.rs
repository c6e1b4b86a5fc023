//! A client that sleeps: it opens a stream and does not read on until it is woken.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::reader::Reader;
use crate::server::{Server, open};

/// Little, so that what is sent piles up at the server soon.
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// What is read before the client sleeps: the head of the response, and some more.
const BEFORE_SLEEP: usize = 1024;

/// Follows a session from now on, and sleeps once it has read how it stands.
pub(crate) async fn follow_asleep(server: &Server, session: &str) -> (Reader, CancellationToken) {
    let (mut reader, awake) = open_asleep(server, session, "").await;
    reader.expect("state").await;
    (reader, awake)
}

/// Opens a stream by a relay that passes on its beginning alone, until it is woken.
pub(crate) async fn open_asleep(
    server: &Server,
    session: &str,
    query: &str,
) -> (Reader, CancellationToken) {
    let awake = CancellationToken::new();
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_address = relay.local_addr().unwrap();
    let address = server.address();
    tokio::spawn({
        let awake = awake.clone();
        async move {
            let (client, _) = relay.accept().await.unwrap();
            pass_on(&client, address, &awake).await;
        }
    });
    let request = server.following(session, query).build().unwrap();
    let mut url = request.url().clone();
    url.set_port(Some(relay_address.port())).unwrap();
    (open(server.http.get(url)).await, awake)
}

async fn pass_on(client: &TcpStream, address: SocketAddr, awake: &CancellationToken) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    let server = socket.connect(address).await.unwrap();
    let request = pipe(client, &server, usize::MAX);
    let response = async {
        pipe(&server, client, BEFORE_SLEEP).await;
        awake.cancelled().await;
        pipe(&server, client, usize::MAX).await;
    };
    tokio::select! {
        () = request => {}
        () = response => {}
    }
}

/// Passes bytes on, at least so many unless there are no more.
async fn pipe(from: &TcpStream, to: &TcpStream, enough: usize) {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    while passed < enough {
        from.readable().await.unwrap();
        match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                write(to, &buffer[..count]).await;
                passed += count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

async fn write(to: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        to.writable().await.unwrap();
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
