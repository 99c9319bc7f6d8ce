//! Whether the coordinator can be reached.

use super::Finding;
use crate::args::ServerUrl;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects, and says nothing.
pub(super) fn check(url: &ServerUrl) -> Finding {
    let (host, port) = url.authority();
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            let what = format!("the name {host} cannot be resolved: {error}");
            return Finding::bad("coordinator", what, "check the name, and the network of this machine");
        }
    };
    let mut last = None;
    for address in addresses {
        let began = Instant::now();
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => {
                let what = format!("{url} takes connections (after {:.1?})", began.elapsed());
                return Finding::good("coordinator", what);
            }
            Err(error) => last = Some(format!("{url} does not take connections: {error}")),
        }
    }
    let what = last.unwrap_or_else(|| format!("{host} has no address"));
    let fix = format!("start it with `regatta coordinator --listen 0.0.0.0:{port}`, or let its port through");
    Finding::bad("coordinator", what, fix)
}
