//! A server of HTTP that does what a test tells it: answers what it likes, forwards, or hangs up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `PUT`, say.
    pub method: String,
    /// With what follows `?`.
    pub path: String,
    bytes: Vec<u8>,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status, and the body that comes with it.
    Answer(u16, String),
    /// Bytes as they are: what [`Request::forward`] brought.
    Bytes(Vec<u8>),
    /// The connection ends without an answer.
    HangUp,
    /// Nothing comes, and the connection stays until the client has enough.
    Silence,
}

impl Request {
    /// What the server at `address` answers to it.
    ///
    /// # Panics
    /// If that does not answer.
    #[must_use]
    #[allow(clippy::unwrap_used, reason = "of tests")]
    pub fn forward(&self, address: &str) -> Reply {
        let mut upstream = TcpStream::connect(address).unwrap();
        upstream.write_all(&self.bytes).unwrap();
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).unwrap();
        Reply::Bytes(answer)
    }
}

/// Serves until the process ends, a thread for each connection, which is for one request. The address.
///
/// # Panics
/// If there is no port.
#[allow(clippy::unwrap_used, reason = "of tests")]
pub fn serve(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> String {
    let (listener, reply) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(reply));
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let reply = Arc::clone(&reply);
            // A client that hangs up is no failure.
            std::thread::spawn(move || answer(stream, &*reply));
        }
    });
    address
}

fn answer(mut stream: TcpStream, reply: &dyn Fn(&Request) -> Reply) -> Option<()> {
    let request = read(&mut stream)?;
    match reply(&request) {
        Reply::Answer(status, body) => {
            let len = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(format!("{head}{body}").as_bytes()).ok()
        }
        Reply::Bytes(bytes) => stream.write_all(&bytes).ok(),
        Reply::HangUp => Some(()),
        Reply::Silence => stream.read_to_end(&mut Vec::new()).ok().map(drop),
    }
}

/// A whole request, with `Connection: close` among its headers.
fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let head_len = loop {
        let len = stream.read(&mut piece).ok().filter(|len| *len > 0)?;
        bytes.extend_from_slice(piece.get(..len)?);
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(bytes.get(..head_len)?).into_owned();
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body_len = header("content-length").and_then(|len| len.parse::<usize>().ok()).unwrap_or(0);
    while bytes.len() < head_len + body_len {
        let len = stream.read(&mut piece).ok().filter(|len| *len > 0)?;
        bytes.extend_from_slice(piece.get(..len)?);
    }
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let line_end = head.find("\r\n")? + 2;
    bytes.splice(line_end..line_end, *b"Connection: close\r\n");
    Some(Request { method, path, bytes })
}
