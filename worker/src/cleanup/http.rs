//! A request to a server, by hand: HTTP/1.1 without encryption, one request a connection. What a clean-up says to a server of
//! the test's own needs no more; whoever needs more has `curl`.

use super::entry::Request;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How much of an answer's head is read.
const HEAD_BYTES: u64 = 64 * 1024;

/// Sends `request`, and waits for its status at most for `limit`. The error says what went wrong. That there is nothing to
/// delete is what a deletion is for.
pub(super) async fn send(request: &Request, limit: Duration) -> Result<(), String> {
    let late = |_| format!("no answer in {} s", limit.as_secs());
    let status = tokio::time::timeout(limit, exchange(request)).await.map_err(late)??;
    match status {
        200..=299 => Ok(()),
        404 | 410 if request.method.eq_ignore_ascii_case("DELETE") => Ok(()),
        status => Err(format!("status {status}")),
    }
}

/// The parts of a URL that matter here.
struct Target<'a> {
    host: &'a str,
    port: u16,
    path: String,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Result<Self, String> {
        let Some(rest) = url.strip_prefix("http://") else {
            return Err("the URL must begin with `http://`; for anything else, register a command".to_owned());
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| format!("`{port}` is no port"))?)
            }
            _ => (authority, 80),
        };
        if host.is_empty() || host.contains('@') {
            return Err("the URL names no host, or a user".to_owned());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host, port, path })
    }
}

/// The head and the body of `request`.
fn written(request: &Request, target: &Target<'_>) -> Result<String, String> {
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !is_word(&request.method) || !target.path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("method and URL may not hold blanks or control characters".to_owned());
    }
    let body = request.body.as_deref().unwrap_or_default();
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, target.path);
    let own = [("Host", format!("{}:{}", target.host, target.port)), ("Connection", "close".to_owned())];
    let length = ("Content-Length", body.len().to_string());
    for (name, value) in own.iter().chain([&length]) {
        let _infallible = write!(text, "{name}: {value}\r\n");
    }
    for (name, value) in &request.headers {
        if !is_word(name) || value.contains(['\r', '\n', '\0']) {
            return Err(format!("`{name}` is no header"));
        }
        if !["host", "connection", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
            let _infallible = write!(text, "{name}: {value}\r\n");
        }
    }
    Ok(text + "\r\n" + body)
}

async fn exchange(request: &Request) -> Result<u16, String> {
    let target = Target::of(&request.url)?;
    let text = written(request, &target)?;
    let host = target.host.trim_start_matches('[').trim_end_matches(']');
    let broken = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((host, target.port)).await.map_err(broken)?;
    stream.write_all(text.as_bytes()).await.map_err(broken)?;
    let mut lines = BufReader::new(stream.take(HEAD_BYTES)).lines();
    loop {
        let line = lines.next_line().await.map_err(broken)?.ok_or("the server closed the connection")?;
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse::<u16>().ok());
        match status {
            // More is to come.
            Some(100..=199) => while lines.next_line().await.map_err(broken)?.is_some_and(|line| !line.is_empty()) {},
            Some(status) => return Ok(status),
            None => return Err("what answered speaks no HTTP".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tokio::net::TcpListener;

    /// Sends a request to a server that answers `answer`; what it came to, and what the server saw.
    async fn check(method: &str, body: Option<&str>, answer: &str) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/things/7?all=1#here", listener.local_addr().unwrap());
        let headers = BTreeMap::from([("X-Key".to_owned(), "a b".to_owned())]);
        let request = Request { method: method.to_owned(), url, headers, body: body.map(str::to_owned) };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut seen, end) = (String::new(), body.unwrap_or("\r\n\r\n"));
            while !seen.ends_with(end) {
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).await.unwrap();
                seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            seen
        };
        tokio::join!(send(&request, Duration::from_secs(30)), serve)
    }

    #[tokio::test]
    async fn a_request_arrives_whole_and_its_status_counts() {
        let (told, seen) =
            check("PUT", Some("hé"), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(told, Ok(()));
        assert!(seen.starts_with("PUT /things/7?all=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{seen}");
        assert!(seen.contains("\r\nContent-Length: 3\r\n") && seen.contains("\r\nX-Key: a b\r\n"), "{seen}");
        assert_eq!(check("GET", None, "HTTP/1.1 500 No\r\n\r\n").await.0, Err("status 500".to_owned()));
        assert_eq!(check("DELETE", None, "HTTP/1.1 404 Gone\r\n\r\n").await.0, Ok(()), "that is what it is for");
        assert_eq!(check("GET", None, "SSH-2.0\r\n").await.0, Err("what answered speaks no HTTP".to_owned()));
        assert_eq!(check("GET", None, "").await.0, Err("the server closed the connection".to_owned()));
    }

    #[tokio::test]
    async fn what_is_no_plain_request_is_refused_before_anything_is_sent() {
        for (method, url, wanted) in [
            ("GET", "https://h/", "must begin with `http://`"),
            ("GET", "http://h:x/", "`x` is no port"),
            ("GET", "http:///x", "names no host"),
            ("G ET", "http://127.0.0.1:1/", "blanks"),
        ] {
            let (method, url) = (method.to_owned(), url.to_owned());
            let request = Request { method, url, headers: BTreeMap::new(), body: None };
            let error = send(&request, Duration::from_secs(30)).await.unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
