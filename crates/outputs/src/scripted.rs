//! A server of HTTP made by hand, for tests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Reads one request: head, in lower case, and body.
pub(crate) async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut data = Vec::new();
    loop {
        assert!(stream.read_buf(&mut data).await.unwrap() > 0, "closed within a request");
        let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(data[..end].to_vec()).unwrap();
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if data.len() >= end + 4 + length {
            return (head, data[end + 4..].to_vec());
        }
    }
}

/// Answers a request.
pub(crate) async fn answer(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    status: &str,
    body: &str,
) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
}
