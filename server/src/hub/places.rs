//! Where the hub may send: to the open network, and to where the hub itself lies. A hub on the open network cannot make
//! this server ask its own machine or the machines around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Settings;

/// What an address is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The open network.
    Open,
    /// This machine.
    Own,
    /// A network of somebody's own.
    Private,
    /// The next machines, and what clouds tell their machines.
    Link,
    /// Nothing that can be asked.
    Nowhere,
}

impl Place {
    /// Of an address, in whichever form it is written.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(four) => Self::of_four(four),
            IpAddr::V6(six) => match carried(six) {
                Some(four) => Self::of_four(four),
                None => Self::of_six(six),
            },
        }
    }

    fn of_four(four: Ipv4Addr) -> Self {
        let [a, b, ..] = four.octets();
        match (a, b) {
            (127, _) => Self::Own,
            (169, 254) => Self::Link,
            (10, _) | (192, 168) | (172, 16..32) | (100, 64..128) | (198, 18..20) => Self::Private,
            (0 | 224.., _) => Self::Nowhere,
            _ => Self::Open,
        }
    }

    fn of_six(six: Ipv6Addr) -> Self {
        match six.segments()[0] {
            _ if six.is_loopback() => Self::Own,
            0xfe80..0xfec0 => Self::Link,
            0xfc00..0xfe00 | 0xfec0..0xff00 => Self::Private,
            0xff00.. | 0 | 0x64 => Self::Nowhere,
            _ => Self::Open,
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The IPv4 address that an IPv6 address stands for: translated (64:ff9b::/96), tunnelled (2002::/16) or in the last bits.
fn carried(six: Ipv6Addr) -> Option<Ipv4Addr> {
    let (segments, bits) = (six.segments(), six.to_bits());
    let four =
        |shift: u32| Ipv4Addr::from_bits(u32::try_from((bits >> shift) & 0xffff_ffff).unwrap_or_default());
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(four(0)),
        [0x2002, ..] => Some(four(80)),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(four(0)),
        _ => None,
    }
}

/// What may be asked, told by where the hub itself was found.
#[derive(Clone, Debug)]
pub struct Places {
    host: String,
    scheme: String,
    /// Hosts of proxies: they resolve names themselves.
    proxies: Arc<[String]>,
    allowed: Arc<AtomicU8>,
}

/// The error of a name or a redirect that leads where nothing may be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0} may not be asked")]
pub struct Elsewhere(pub String);

impl Places {
    /// For a hub with these settings.
    pub fn new(settings: &Settings) -> Self {
        let places = Self {
            host: settings.host(),
            scheme: settings.endpoint.scheme().to_owned(),
            proxies: settings.proxies.clone().into(),
            allowed: Arc::new(AtomicU8::new(Place::Open.bit())),
        };
        if let Some(address) = literal(&settings.endpoint) {
            places.allow(Place::of(address));
        }
        places
    }

    fn allow(&self, place: Place) {
        self.allowed.fetch_or(place.bit(), Ordering::Relaxed);
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allowed.load(Ordering::Relaxed) & Place::of(address).bit() != 0
    }

    /// Whether a redirect may be followed: over TLS or as the hub itself is asked, with no name and password, and not to an
    /// address that may not be asked. Names are looked at when they are resolved.
    pub fn allows_url(&self, url: &Url) -> bool {
        let scheme = url.scheme() == "https" || url.scheme() == self.scheme;
        let plain = url.username().is_empty() && url.password().is_none();
        scheme && plain && url.host_str().is_some() && literal(url).is_none_or(|address| self.allows(address))
    }

    /// The addresses of a name that may be asked.
    fn sift(
        &self,
        name: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Elsewhere> {
        let found: Vec<_> = found.collect();
        if self.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
            return Ok(found);
        }
        if name.eq_ignore_ascii_case(&self.host) {
            // what clouds tell their machines is no hub, whatever a name says
            let usable = |place| !matches!(place, Place::Link | Place::Nowhere);
            found
                .iter()
                .map(|one| Place::of(one.ip()))
                .filter(|place| usable(*place))
                .for_each(|place| self.allow(place));
        }
        let kept: Vec<_> = found.into_iter().filter(|one| self.allows(one.ip())).collect();
        if kept.is_empty() { Err(Elsewhere(name.to_owned())) } else { Ok(kept) }
    }
}

impl Resolve for Places {
    fn resolve(&self, name: Name) -> Resolving {
        let places = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept = places.sift(name.as_str(), found)?;
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The address that stands in a URL in place of a name.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// What a failed request was refused for, if it was.
pub fn refused<'a>(why: &'a (dyn std::error::Error + 'static)) -> Option<&'a Elsewhere> {
    let mut cause = Some(why);
    while let Some(one) = cause {
        if let Some(found) = one.downcast_ref() {
            return Some(found);
        }
        cause = one.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(endpoint: &str) -> Places {
        Places::new(&Settings::read(|key| (key == "HF_ENDPOINT").then(|| endpoint.to_owned())))
    }

    fn goes(places: &Places, url: &str) -> bool {
        places.allows_url(&Url::parse(url).expect(url))
    }

    const INNER: &[&str] = &[
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f.0.0.1/x",
        "https://0177.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[::ffff:a9fe:a9fe]/x",
        "https://[64:ff9b::10.0.0.1]/x",
        "https://[2002:a00:1::]/x",
        "https://[fe80::1]/x",
        "https://[fd00::1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://172.16.0.1/x",
        "https://172.31.255.255/x",
        "https://192.168.1.1/x",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://[::]/x",
        "https://255.255.255.255/x",
        "https://224.0.0.1/x",
    ];

    #[test]
    fn s12_a_hub_on_the_open_network_sends_nobody_into_this_one() {
        let places = places("https://huggingface.co");
        for url in INNER {
            assert!(!goes(&places, url), "{url}");
        }
        for url in [
            "https://user@cdn.example/x",
            "https://huggingface.co:x@10.0.0.1/",
            "http://cdn.example/x",
            "file:///etc/passwd",
            "ftp://cdn.example/x",
        ] {
            assert!(!goes(&places, url), "{url}");
        }
        for url in [
            "https://cdn.example/x",
            "https://172.32.0.1/x",
            "https://[2606:4700::1]/x",
            "https://8.8.8.8:8443/x",
        ] {
            assert!(goes(&places, url), "{url}");
        }
    }

    #[test]
    fn s12_a_hub_of_ones_own_network_sends_within_it_and_not_to_what_clouds_tell_their_machines() {
        let own = places("http://127.0.0.1:8080");
        assert!(goes(&own, "http://127.0.0.1:9090/blob") && goes(&own, "https://cdn.example/x"));
        let inner = places("http://10.0.0.5");
        assert!(goes(&inner, "http://10.0.0.6/blob") && goes(&inner, "http://cdn.example/x"));
        for url in ["http://169.254.169.254/", "http://127.0.0.1/", "http://[::ffff:169.254.169.254]/"] {
            assert!(!goes(&inner, url), "{url}");
        }
    }

    #[test]
    fn s12_a_name_that_leads_inside_is_refused_unless_the_hub_itself_lies_there() {
        let at = |text: &str| SocketAddr::new(text.parse().expect("an address"), 0);
        let open = places("https://huggingface.co");
        let mixed =
            open.sift("cdn.example", [at("10.0.0.1"), at("8.8.8.8")].into_iter()).expect("one is left");
        assert_eq!(mixed, [at("8.8.8.8")]);
        assert!(open.sift("rebound.example", [at("::ffff:127.0.0.1")].into_iter()).is_err());
        assert!(open.sift("huggingface.co", [at("169.254.169.254")].into_iter()).is_err());
        let inner = places("https://hub.corp");
        assert!(
            inner.sift("store.corp", [at("10.0.0.6")].into_iter()).is_err(),
            "nobody knows yet where the hub lies"
        );
        assert_eq!(inner.sift("HUB.corp", [at("10.0.0.5")].into_iter()).expect("the hub").len(), 1);
        assert_eq!(inner.sift("store.corp", [at("10.0.0.6")].into_iter()).expect("beside it").len(), 1);
        assert!(inner.sift("store.corp", [at("127.0.0.1")].into_iter()).is_err());
    }
}
