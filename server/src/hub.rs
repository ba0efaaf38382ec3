//! A Hugging Face hub, or a mirror that speaks like one: search, what a repository holds, and downloads into the
//! cache that other programs on this machine share. Names are checked before they become part of an address or a
//! path, files by an allow-list, contents by the hub's digests.

pub mod api;
pub mod cache;
pub mod fetch;
pub mod locks;
pub mod names;
pub mod places;
pub mod settings;
mod sparing;

pub use settings::Settings;

use std::sync::Arc;
use std::time::Duration;

use contract::Code;
use contract::Problem;
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url, redirect};

/// Redirects followed at most: hub, bridge, store.
const HOPS: usize = 6;

/// Talks to one hub.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Where and as whom.
    pub settings: Settings,
    client: reqwest::Client,
    locks: locks::Locks,
}

impl Hub {
    /// A client for these settings.
    ///
    /// # Errors
    /// When the machine's certificates cannot be read at all.
    pub fn new(settings: Settings) -> Result<Self, Problem> {
        let places = places::Places::new(&settings);
        let redirects = places.clone();
        let follow = redirect::Policy::custom(move |attempt| {
            if !redirects.allows_url(attempt.url()) {
                let host = attempt.url().host_str().unwrap_or_default().to_owned();
                return attempt.error(places::Elsewhere(host));
            }
            if attempt.previous().len() > HOPS { attempt.stop() } else { attempt.follow() }
        });
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("burnish/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(settings.patience)
            .dns_resolver(Arc::new(places))
            .redirect(follow);
        if settings.is_local() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|why| {
            Problem::new(Code::HubUnusable, format!("The hub cannot be asked: {}.", reason(&why)))
                .with("why", reason(&why))
        })?;
        Ok(Self { settings, client, locks: locks::Locks::default() })
    }

    /// Asks for an address of the hub; the token goes to the hub itself only.
    async fn get(&self, url: Url, range_from: u64) -> Result<Response, Problem> {
        if self.settings.offline {
            return Err(offline());
        }
        let mut request = self.client.get(url);
        if let Some(token) = &self.settings.token {
            request = request.bearer_auth(token);
        }
        if range_from > 0 {
            request = request.header("range", format!("bytes={range_from}-"));
        }
        request.send().await.map_err(|why| {
            let host = self.settings.host();
            if let Some(places::Elsewhere(to)) = places::refused(&why) {
                let message = format!("{host} sends to {to}, where Burnish does not go.");
                return Problem::new(Code::HubElsewhere, message).with("host", to).hint(
                    "If that is a mirror of your own, name it in HF_ENDPOINT and start Burnish again.",
                );
            }
            Problem::new(Code::HubUnreachable, format!("{host} cannot be reached: {}.", reason(&why)))
                .with("host", &host)
                .with("why", reason(&why))
                .hint("Check the connection, or name a mirror in HF_ENDPOINT and start Burnish again.")
        })
    }
}

/// The problem of a hub that must not be asked.
pub fn offline() -> Problem {
    Problem::new(Code::HubOffline, "Burnish was told to stay offline (HF_HUB_OFFLINE).")
        .hint("Only what is in the cache of this machine can be used; unset it to fetch more.")
}

/// Why a request failed, the innermost cause, without addresses (they may carry signatures).
fn reason(why: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = why;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    if text.contains("://") { "the request failed".to_owned() } else { text.trim_end_matches('.').to_owned() }
}

/// What a refusal of the hub means for a person.
pub(crate) fn refusal(settings: &Settings, repo: &str, response: &Response) -> Problem {
    let (status, host) = (response.status(), settings.host());
    let page = format!("{}{repo}", settings.endpoint);
    match status {
        StatusCode::UNAUTHORIZED if settings.token.is_none() => Problem::new(
            Code::HubNeedsToken,
            format!("{host} shows {repo} only to people it knows, or it does not exist."),
        )
        .with("repo", repo)
        .hint("Check the name; if it is right, start Burnish with HF_TOKEN set to your access token."),
        StatusCode::UNAUTHORIZED => {
            Problem::new(Code::HubBadToken, format!("{host} does not accept the access token for {repo}."))
                .with("repo", repo)
                .hint("Make a new token on the hub and start Burnish with it in HF_TOKEN.")
        }
        StatusCode::FORBIDDEN => {
            Problem::new(Code::HubGated, format!("{repo} is gated: its owner must let you in first."))
                .with("repo", repo)
                .hint(format!(
                    "Open {page}, accept its terms, and start Burnish with your access token in HF_TOKEN."
                ))
        }
        StatusCode::NOT_FOUND => {
            Problem::new(Code::HubNoSuchRepo, format!("{host} has no {repo} at this revision."))
                .with("repo", repo)
                .hint("Check the name and the revision.")
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let wait = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|v: &HeaderValue| v.to_str().ok()?.parse::<u32>().ok());
            let wait = wait.map_or_else(|| "some minutes".to_owned(), |seconds| format!("{seconds} seconds"));
            Problem::new(Code::HubBusy, format!("{host} was asked too often."))
                .hint(format!("Try again in {wait}."))
        }
        _ => Problem::new(Code::HubOddAnswer, format!("{host} answered with status {}.", status.as_u16()))
            .with("why", status.as_u16())
            .hint("Try again later."),
    }
}
