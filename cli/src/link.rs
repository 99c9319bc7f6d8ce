//! How a client or a worker reaches its coordinator: over the network, or within the process.

use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::DuplexStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Both sides look for a half-open connection this often, and give it this long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Why `--on` cannot be used.
#[derive(Debug)]
pub(crate) enum Error {
    /// The text is no URL.
    Malformed(String),
    /// The URL asks for what this version does not do.
    Unsupported(String),
}

/// A channel to the coordinator at `url`. Dials at the first call, and again whenever the connection breaks.
///
/// # Errors
/// When `url` is not one that can be dialled.
pub(crate) fn to(url: &str) -> Result<Channel, Error> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    if with_scheme.starts_with("https://") {
        return Err(Error::Unsupported(url.to_owned()));
    }
    let endpoint = Endpoint::from_shared(with_scheme).map_err(|_| Error::Malformed(url.to_owned()))?;
    if endpoint.uri().scheme_str().is_none_or(|scheme| scheme != "http") || endpoint.uri().host().is_none() {
        return Err(Error::Malformed(url.to_owned()));
    }
    Ok(endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}

/// A channel to a coordinator in this process, which `dial` gives a connection to as long as there is one.
pub(crate) fn within(dial: impl Fn() -> Option<DuplexStream> + Send + Sync + 'static) -> Channel {
    let connector = service_fn(move |_| {
        let dialled = dial().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        async move { dialled.map(TokioIo::new) }
    });
    Endpoint::from_static("http://within").connect_with_connector_lazy(connector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_urls_that_can_be_dialled_are_taken() {
        assert!(to("http://127.0.0.1:7420").is_ok());
        assert!(to("localhost:7420").is_ok());
        assert!(matches!(to("https://ci.example.org"), Err(Error::Unsupported(_))));
        assert!(matches!(to("ftp://ci"), Err(Error::Malformed(_))));
        assert!(matches!(to("http://"), Err(Error::Malformed(_))));
        assert!(matches!(to("not a url"), Err(Error::Malformed(_))));
    }
}
