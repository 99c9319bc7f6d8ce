//! How a bucket is reached: HTTP/1.1 over rustls, with the certificates that the system trusts.
//!
//! It leaves signing, and trying again, to `object_store`. Every request has a deadline: for its connection, for the head of
//! its answer, and for each part of the body.

use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientConfigKey;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// To open a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// From the request to the head of its answer: the largest blob is a quarter of a megabyte.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// A connection that nobody used for so long is closed: the stores close theirs after some minutes.
const IDLE: Duration = Duration::from_secs(60);

/// Connections that are kept open.
const KEPT: usize = 32;

/// Makes clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connector;

/// A client.
#[derive(Debug)]
struct Service(Client<HttpsConnector<TcpConnector>, HttpRequestBody>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|allowed| allowed == "true");
        let unfit = |error: io::Error| object_store::Error::Generic { store: "S3", source: error.into() };
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls(allow_http).map_err(unfit)?);
        let schemes = if allow_http { tls.https_or_http() } else { tls.https_only() };
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .pool_timer(TokioTimer::new())
            .build(schemes.enable_http1().wrap_connector(tcp));
        Ok(HttpClient::new(Service(client)))
    }
}

/// Whom a connection trusts. A machine without certificates can still speak plain HTTP, where that is allowed.
fn tls(allow_http: bool) -> io::Result<ClientConfig> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 && !allow_http {
        let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(io::Error::other(format!(
            "the system has no certificates of authorities{why}; install ca-certificates, or name a file in SSL_CERT_FILE"
        )));
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
    Ok(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = match timeout(ANSWER, self.0.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(HttpError::new(kind(&error), Plain(in_words(&error)))),
            Err(_) => {
                let late = format!("no answer within {} s", ANSWER.as_secs());
                return Err(HttpError::new(HttpErrorKind::Timeout, Plain(late)));
            }
        };
        let broken = |error: hyper::Error| HttpError::new(HttpErrorKind::Interrupted, Plain(in_words(&error)));
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(broken))))
    }
}

/// What went wrong, as far as it matters to whether the request may be made again.
fn kind(error: &hyper_util::client::legacy::Error) -> HttpErrorKind {
    if error.is_connect() {
        return HttpErrorKind::Connect;
    }
    HttpErrorKind::Interrupted
}

/// The causes of an error, each once, from the last.
fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        next = error.source();
        if !said.iter().any(|before| before.contains(&text)) && text != "client error (Connect)" {
            said.push(text);
        }
    }
    said.join(": ")
}

/// What went wrong, in words.
#[derive(Debug)]
struct Plain(String);

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Plain {}
