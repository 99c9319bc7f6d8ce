//! A real S3-compatible server: what it takes, and what it says when it does not.
//!
//! `s3s-fs` keeps objects in a directory and checks signatures; `tests/setup/tool` builds it.

use super::super::bucket::Bucket;
use super::super::{Blobs, Error, digest_of};
use super::{until, waiting};
use regatta_domain::{Digest, Time};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const KEY: &str = "AKIDREGATTA";
const SECRET: &str = "a secret of tests";

/// A server with one bucket, `outputs`.
struct Server {
    child: Child,
    port: u16,
    root: PathBuf,
}

impl Server {
    /// On some port, or on this one again.
    fn start(root: &Path, port: u16) -> Self {
        fs::create_dir_all(root.join("outputs")).unwrap();
        let mut child = Command::new(program())
            .args(["--host", "127.0.0.1", "--access-key", KEY, "--secret-key", SECRET])
            .args(["--port", &port.to_string()])
            .arg(root)
            .env("RUST_LOG", "s3s_fs=info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = lines.find_map(|line| {
            let (_, address) = line.split_once("http://127.0.0.1:")?;
            address.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
        });
        // Whatever it says from now on is read, so that it never waits for somebody who does.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port: port.expect("the server says where it listens"), root: root.to_owned() }
    }

    fn stop(mut self) -> (PathBuf, u16) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.root.clone(), self.port)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let url = format!("http://127.0.0.1:{}", self.port);
        said(&[
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
        ])
    }

    fn bucket(&self) -> Bucket {
        Bucket::s3("outputs", "ci", self.environment().into_iter()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn said(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("REGATTA_TEST_S3") {
        return program.into();
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/.cache/tools/bin/s3s-fs");
    assert!(built.exists(), "there is no S3 server for tests: run `tests/setup/tool s3s-fs 0.12.0 binary` once");
    built
}

#[tokio::test]
async fn a_server_keeps_lists_and_drops() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("s3"), 0);
    let bucket = server.bucket();
    bucket.probe().await.unwrap();
    let (first, second) = (digest_of(b"first"), digest_of(b""));
    bucket.put(first, b"first".to_vec()).await.unwrap();
    bucket.put(first, b"first".to_vec()).await.unwrap();
    bucket.put(second, Vec::new()).await.unwrap();
    assert_eq!(bucket.get(first).await.unwrap().unwrap(), b"first");
    assert_eq!(bucket.get(second).await.unwrap().unwrap(), b"");
    assert_eq!(bucket.get(Digest([9; 32])).await.unwrap(), None);

    let listed = std::sync::Mutex::new(Vec::new());
    let later = Time(regatta_runtime::clock::now_us() + 3_600_000_000);
    bucket
        .old(later, |page| {
            listed.lock().unwrap().extend(page);
            async {}
        })
        .await
        .unwrap();
    let mut listed = listed.into_inner().unwrap();
    listed.sort_unstable();
    let mut both = [first, second];
    both.sort_unstable();
    assert_eq!(listed, both, "and not the probe");
    bucket.old(Time(1), |page| async move { panic!("{page:?} is not so old") }).await.unwrap();

    bucket.drop(&[first, Digest([9; 32])]).await.unwrap();
    assert_eq!(bucket.get(first).await.unwrap(), None);
    assert!(bucket.get(second).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_is_down_for_a_while_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let line = directory.path().join("waiting");
    let server = Server::start(&directory.path().join("s3"), 0);
    let blobs = Blobs::in_bucket(server.bucket(), &line, 1_000_000).await.unwrap();
    let before = blobs.put(b"before").unwrap().digest;
    until("nothing waits", || async { waiting(&line) == 0 }).await;
    let (root, port) = server.stop();

    let meanwhile = blobs.put(b"meanwhile").unwrap().digest;
    assert_eq!(blobs.get(meanwhile).await.unwrap().unwrap(), b"meanwhile");
    let told = blobs.get(before).await.unwrap_err();
    assert!(told.may_pass() && told.to_string().contains("s3://outputs/ci cannot be reached"), "{told}");
    assert!(told.to_string().contains("refused"), "{told}");

    let _server = Server::start(&root, port);
    until("nothing waits", || async { waiting(&line) == 0 }).await;
    for (digest, content) in [(before, &b"before"[..]), (meanwhile, b"meanwhile")] {
        assert_eq!(blobs.get(digest).await.unwrap().unwrap(), content);
    }
    blobs.close().await;
}

#[tokio::test]
async fn a_server_that_refuses_is_quoted_and_what_to_do_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), 0);
    let with = |key: &str, value: &str| {
        let mut environment = server.environment();
        environment.retain(|(known, _)| known != key);
        environment.extend(said(&[(key, value)]));
        environment.into_iter()
    };
    let refused = async |bucket: Result<Bucket, Error>| {
        let bucket = bucket.unwrap();
        let told = bucket.probe().await.unwrap_err();
        assert!(matches!(told, Error::Refused { .. }), "{told}");
        (told.to_string(), bucket)
    };
    let (told, _) = refused(Bucket::s3("outputs", "ci", with("AWS_SECRET_ACCESS_KEY", "wrong"))).await;
    assert!(told.starts_with("s3://outputs/ci refuses: SignatureDoesNotMatch"), "{told}");
    assert!(told.contains("look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{told}");
    let (told, _) = refused(Bucket::s3("outputs", "ci", with("AWS_ACCESS_KEY_ID", "nobody"))).await;
    assert!(told.contains("look at AWS_ACCESS_KEY_ID"), "{told}");
}

/// A server that answers every request with this, and the address of it.
fn answering(status: &'static str, body: &'static str) -> Vec<(String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while request.read_line(&mut line).is_ok_and(|read| read > 2) {
                let header = line.to_ascii_lowercase();
                length = header.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
                line.clear();
            }
            // The client may have gone away.
            let _gone = request.read_exact(&mut vec![0; length]);
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    said(&[
        ("AWS_ENDPOINT_URL", &url),
        ("AWS_ALLOW_HTTP", "1"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ])
}

#[tokio::test]
async fn what_s3_answers_is_told_with_what_to_do() {
    let gone = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>Too far apart.</Message></Error>";
    let slow = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    for (status, body, may_pass, wanted) in [
        (
            "404 Not Found",
            gone,
            false,
            "The specified bucket does not exist; create the bucket, or name another one (--blobs)",
        ),
        ("403 Forbidden", skewed, false, "RequestTimeTooSkewed: Too far apart.; set the clock of this machine"),
        ("301 Moved Permanently", "", false, "set AWS_REGION to the region of the bucket"),
        ("503 Slow Down", slow, true, "s3://outputs cannot be reached: SlowDown: Please reduce your request rate."),
    ] {
        let bucket = Bucket::s3("outputs", "", answering(status, body).into_iter()).unwrap();
        let told = bucket.probe().await.unwrap_err();
        assert!(told.may_pass() == may_pass && told.to_string().ends_with(wanted), "{told}");
        if body == gone {
            // A bucket that is gone is not taken for a blob that is.
            assert!(matches!(bucket.get(Digest([9; 32])).await.unwrap_err(), Error::Refused { .. }));
        }
    }
}

#[tokio::test]
async fn a_door_behind_which_nobody_speaks_http_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Whoever comes is sent away at once.
    let door = std::thread::spawn(move || listener.incoming().take(8).for_each(drop));
    let url = format!("http://127.0.0.1:{port}");
    let environment = said(&[
        ("AWS_ENDPOINT_URL", &url),
        ("AWS_ALLOW_HTTP", "1"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ]);
    let told = Bucket::s3("outputs", "", environment.into_iter()).unwrap().probe().await.unwrap_err();
    assert!(told.may_pass(), "{told}");
    // The door has eight guests in all.
    for _ in 0..8 {
        drop(std::net::TcpStream::connect(("127.0.0.1", port)));
    }
    door.join().unwrap();
}

#[test]
fn plain_http_is_only_spoken_where_that_is_said() {
    let unfit = |pairs: &[(&str, &str)]| Bucket::s3("outputs", "", said(pairs).into_iter()).unwrap_err().to_string();
    let told = unfit(&[("AWS_ENDPOINT_URL", "http://minio:9000")]);
    assert!(told.contains("AWS_ENDPOINT_URL is http://minio:9000") && told.contains("AWS_ALLOW_HTTP=true"), "{told}");
    let told = unfit(&[("AWS_ENDPOINT_URL", "minio:9000")]);
    assert!(told.contains("AWS_ENDPOINT_URL is `minio:9000`, which is no URL"), "{told}");
    let told = unfit(&[("AWS_ACCESS_KEY_ID", KEY), ("AWS_ENDPOINT_URL", "https://minio:9000")]);
    assert!(told.to_lowercase().contains("secret"), "{told}");
}
