//! Whether the coordinator can be reached.

use super::Finding;
use crate::args::ServerUrl;
use regatta_runtime::dial::Address;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects, and says nothing: with several addresses, it is good when one takes connections.
pub(super) fn check(url: &ServerUrl) -> Finding {
    let mut bad = Vec::new();
    for address in url.addresses().iter() {
        match connect(address) {
            Ok(what) => return Finding::good("coordinator", what),
            Err(why) => bad.push(why),
        }
    }
    let fix = "start it with `regatta coordinator --listen HOST:PORT`, or let its port through";
    Finding::bad("coordinator", bad.join("; "), fix)
}

fn connect(address: &Address) -> Result<String, String> {
    let found = (address.host(), address.port()).to_socket_addrs();
    let found = found.map_err(|error| format!("the name {} cannot be resolved: {error}", address.host()))?;
    let mut last = format!("{} has no address", address.host());
    for at in found {
        let began = Instant::now();
        match TcpStream::connect_timeout(&at, PATIENCE) {
            Ok(_) => return Ok(format!("{address} takes connections (after {:.1?})", began.elapsed())),
            Err(error) => last = format!("{address} does not take connections: {error}"),
        }
    }
    Err(last)
}
