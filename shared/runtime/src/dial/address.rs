//! Where a coordinator is: `http://HOST:PORT`, or several of them with commas between.

use std::fmt;
use std::str::FromStr;
use tonic::transport::Uri;

/// Addresses that may be given. Beyond a few coordinators more of them help nobody.
const MOST: usize = 16;

/// Where one coordinator is, or several that share a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    host: String,
    port: u16,
}

/// One or several addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<Address>);

/// A text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is no URL of a coordinator.
    Url(String),
    /// It asks for what this version does not speak.
    Encrypted(String),
    /// There are too many.
    TooMany(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(text) => {
                write!(f, "`{text}`: a coordinator is http://HOST:PORT, or several of these with commas between")
            }
            Self::Encrypted(text) => write!(
                f,
                "{text}: this version speaks plain HTTP/2 only; write http://HOST:PORT, over a network that you trust"
            ),
            Self::TooMany(found) => write!(f, "{found} addresses are given, and {MOST} may be"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Address {
    /// The name, or the number, of its machine.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port there.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(given: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::Url(given.to_owned());
        let text = given.trim().trim_end_matches('/');
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let default = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => return Err(Malformed::Encrypted(given.to_owned())),
            _ => return Err(malformed()),
        };
        let host = uri.host().filter(|host| !host.is_empty() && !text.contains('@')).ok_or_else(malformed)?;
        // A scheme alone (`http://:7420`) or a port that is none (`:99999`) parses as a host, too.
        let authority = uri.authority().ok_or_else(malformed)?.as_str();
        let port = match &authority[host.len()..] {
            "" => default,
            _ => uri.port_u16().ok_or_else(malformed)?,
        };
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(malformed());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, text })
    }
}

impl Addresses {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.0.iter()
    }

    pub(super) fn first(&self) -> &Address {
        self.0.first().expect("there is one at least")
    }
}

impl FromStr for Addresses {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let given = text.split(',').count();
        if given > MOST {
            return Err(Malformed::TooMany(given));
        }
        text.split(',').map(Address::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_several_addresses_are_taken_with_and_without_a_scheme() {
        let addresses: Addresses = "a:1, http://b/,http://[::1]:7420".parse().unwrap();
        let found: Vec<_> = addresses.iter().map(|address| (address.host(), address.port())).collect();
        assert_eq!(found, [("a", 1), ("b", 80), ("::1", 7420)]);
        assert_eq!(addresses.to_string(), "http://a:1,http://b,http://[::1]:7420");
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_as_it_was_typed() {
        for text in
            ["", "http://", "http://:1", "http://a/b", "http://u@a:1", "a b", "http://a:x", "ftp://a", "a:99999"]
        {
            assert_eq!(text.parse::<Addresses>(), Err(Malformed::Url(text.to_owned())), "{text}");
        }
        assert_eq!("a:1,".parse::<Addresses>(), Err(Malformed::Url(String::new())));
        assert_eq!("https://a".parse::<Addresses>(), Err(Malformed::Encrypted("https://a".to_owned())));
        assert_eq!(["a"; 17].join(",").parse::<Addresses>(), Err(Malformed::TooMany(17)));
    }
}
