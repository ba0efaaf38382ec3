//! Who may take how much of the server: connections, requests, bodies and sockets, in all and of one address, and
//! how long each may make the others wait.

pub mod accept;
pub mod body;
pub mod crowd;
pub mod limits;
pub mod rates;
pub mod shares;

pub use limits::Limits;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;

use rates::Rates;
use shares::Shares;

/// What addresses have taken of the server.
#[derive(Debug)]
pub struct Net {
    /// Open websockets.
    pub sockets: Arc<Shares>,
    /// Uploads on their way.
    pub uploads: Arc<Shares>,
    /// Answers being written.
    pub answers: Arc<Shares>,
    /// Calls of server functions.
    pub calls: Rates,
}

impl Net {
    /// Nothing taken yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            sockets: Arc::new(Shares::new(limits.sockets, limits.sockets_per_address)),
            uploads: Arc::new(Shares::new(usize::MAX, limits.uploads_per_address)),
            answers: Arc::new(Shares::new(usize::MAX, limits.answers_per_address)),
            calls: Rates::new(limits.calls_a_minute),
        }
    }
}

/// The address a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

impl Client {
    /// As the accept loop noted it; requests without one share a place.
    pub fn of(extensions: &Extensions) -> Self {
        let known = extensions.get::<ConnectInfo<SocketAddr>>();
        Self(known.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| party(peer.ip())))
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// Whom an address stands for: a network hands out IPv6 addresses by the 64 bits.
pub fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_many_addresses_is_one_party() {
        let of = |text: &str| party(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.7"), of("10.0.0.7"));
        assert_ne!(of("10.0.0.7"), of("10.0.0.8"));
    }
}
