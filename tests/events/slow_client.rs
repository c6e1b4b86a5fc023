//! A client that opens a stream and stops reading until it is resumed.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::reader::Reader;
use crate::server::{Server, open};

/// Small, so that the server soon has to buffer.
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// How many bytes are read before the pause: the head of the response and some more.
const BEFORE_PAUSE: usize = 1024;

/// Subscribes to a session, and pauses once the state was read.
pub(crate) async fn follow_paused(server: &Server, session: &str) -> (Reader, CancellationToken) {
    let (mut reader, resumed) = open_paused(server, session, "").await;
    reader.expect("state").await;
    (reader, resumed)
}

/// Opens a stream through a relay that forwards only its beginning until it is resumed.
pub(crate) async fn open_paused(
    server: &Server,
    session: &str,
    query: &str,
) -> (Reader, CancellationToken) {
    let resumed = CancellationToken::new();
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_address = relay.local_addr().unwrap();
    let address = server.address();
    tokio::spawn({
        let resumed = resumed.clone();
        async move {
            let (client, _) = relay.accept().await.unwrap();
            forward(&client, address, &resumed).await;
        }
    });
    let request = server.following(session, query).build().unwrap();
    let mut url = request.url().clone();
    url.set_port(Some(relay_address.port())).unwrap();
    (open(server.http.get(url)).await, resumed)
}

async fn forward(client: &TcpStream, address: SocketAddr, resumed: &CancellationToken) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    let server = socket.connect(address).await.unwrap();
    let request = pipe(client, &server, usize::MAX);
    let response = async {
        pipe(&server, client, BEFORE_PAUSE).await;
        resumed.cancelled().await;
        pipe(&server, client, usize::MAX).await;
    };
    tokio::select! {
        () = request => {}
        () = response => {}
    }
}

/// Forwards bytes, at least `enough` unless the stream ends before.
async fn pipe(from: &TcpStream, to: &TcpStream, enough: usize) {
    let mut buffer = vec![0; 16 * 1024];
    let mut forwarded = 0;
    while forwarded < enough {
        from.readable().await.unwrap();
        match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                write(to, &buffer[..count]).await;
                forwarded += count;
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
