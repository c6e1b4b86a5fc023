//! A web server of files.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The files of a release, by their names.
#[derive(Debug, Default, Clone)]
pub(crate) struct Files {
    pub(crate) contents: BTreeMap<String, Vec<u8>>,
    /// The file of which only the first half is sent.
    pub(crate) cut: Option<String>,
    /// Whether each file is at another address, to which it redirects.
    pub(crate) is_moved: bool,
}

impl Files {
    /// Serves the files until the process ends. Returns the address of their directory.
    pub(crate) fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has ended before its answer is not a failure.
                let _ = stream.and_then(|stream| self.answer(stream));
            }
        });
        format!("http://{address}/v1")
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        if self.is_moved && path.starts_with("/v1/") {
            let address = stream.local_addr()?;
            let moved = path.replace("/v1/", "/v2/");
            return write!(
                stream,
                "HTTP/1.0 302 Found\r\nLocation: http://{address}{moved}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
        }
        let name = path.trim_start_matches("/v1/").trim_start_matches("/v2/");
        let Some(content) = self.contents.get(name) else {
            return stream.write_all(
                b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        };
        let length = content.len();
        let sent = if self.cut.as_deref() == Some(name) {
            length / 2
        } else {
            length
        };
        write!(
            stream,
            "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        stream.write_all(&content[..sent])
    }
}
