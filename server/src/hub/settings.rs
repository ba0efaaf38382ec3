//! Where the hub is, who asks, and where its files lie: the variables that the hub's own tools read.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

/// The public hub.
const PUBLIC: &str = "https://huggingface.co/";

/// Most bytes of a file whose size the hub does not tell.
const UNSIZED_MOST: u64 = 2 << 30;
/// Variables that name a proxy; in small letters as well.
const PROXIES: &[&str] = &["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// How the hub is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address of the hub, ends with `/` (`HF_ENDPOINT`).
    pub endpoint: Url,
    /// Access token (`HF_TOKEN`, else the file of `huggingface-cli login`). Never shown, never given to a worker.
    pub token: Option<String>,
    /// Whether only the cache may be used (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// The cache (`HF_HUB_CACHE`, else `hub` under `HF_HOME`, else `~/.cache/huggingface/hub`).
    pub cache: PathBuf,
    /// Names of the proxies that stand between (`HTTPS_PROXY` and its like).
    pub proxies: Vec<String>,
    /// Most bytes of a file whose size the hub does not tell.
    pub unsized_most: u64,
    /// How long the hub may be silent.
    pub patience: Duration,
    /// First pause before a broken connection is tried again; doubles while nothing comes.
    pub pause: Duration,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint.as_str())
            .field("token", &token)
            .field("offline", &self.offline)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the environment.
    pub fn from_env() -> Self {
        Self::read(|key| std::env::var(key).ok())
    }

    /// Reads variables through `get`; an empty one counts as unset.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let var = |key: &str| get(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let home = PathBuf::from(var("HOME").unwrap_or_default());
        let base = var("HF_HOME").map(PathBuf::from).unwrap_or_else(|| {
            var("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from).join("huggingface")
        });
        let cache = var("HF_HUB_CACHE").or_else(|| var("HUGGINGFACE_HUB_CACHE"));
        let file = var("HF_TOKEN_PATH").map_or_else(|| base.join("token"), PathBuf::from);
        let stored = || std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        let token = var("HF_TOKEN").or_else(|| var("HUGGING_FACE_HUB_TOKEN")).or_else(stored);
        let yes = |text: String| matches!(text.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE");
        Self {
            endpoint: var("HF_ENDPOINT").and_then(|text| endpoint(&text)).unwrap_or_else(public),
            token: token.filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())),
            offline: var("HF_HUB_OFFLINE").is_some_and(yes),
            cache: cache.map_or_else(|| base.join("hub"), PathBuf::from),
            proxies: PROXIES
                .iter()
                .flat_map(|key| [var(key), var(&key.to_ascii_lowercase())])
                .flatten()
                .filter_map(proxy)
                .collect(),
            unsized_most: UNSIZED_MOST,
            patience: Duration::from_secs(60),
            pause: Duration::from_millis(200),
        }
    }

    /// The hub's host, for people.
    pub fn host(&self) -> String {
        self.endpoint.host_str().unwrap_or_default().to_owned()
    }

    /// Whether the hub is on this machine: then no proxy is asked.
    pub fn is_local(&self) -> bool {
        matches!(self.endpoint.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
    }
}

/// The host of a proxy, written with or without a scheme.
fn proxy(text: String) -> Option<String> {
    let url = if text.contains("://") { Url::parse(&text) } else { Url::parse(&format!("http://{text}")) };
    url.ok()?.host_str().map(str::to_owned)
}

/// An address that other paths can be joined to.
fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    if url.is_none() {
        tracing::warn!("HF_ENDPOINT is no http address; the public hub is used");
    }
    url
}

#[expect(clippy::expect_used, reason = "a constant address")]
fn public() -> Url {
    Url::parse(PUBLIC).expect("the public hub's address is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Settings {
        Settings::read(|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn s_011_s_013_the_variables_of_the_hubs_own_tools_are_honoured() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("token"), "hf_stored\n").expect("written");
        let path = home.path().to_string_lossy().into_owned();
        let plain = of(&[("HOME", "/home/ada")]);
        assert_eq!(plain.endpoint.as_str(), PUBLIC);
        assert_eq!(plain.cache, PathBuf::from("/home/ada/.cache/huggingface/hub"));
        assert!(!plain.offline && plain.token.is_none());
        let set =
            of(&[("HF_HOME", &path), ("HF_ENDPOINT", "https://mirror.example"), ("HF_HUB_OFFLINE", "yes")]);
        assert_eq!((set.host().as_str(), set.offline), ("mirror.example", true));
        assert_eq!((set.token.as_deref(), set.cache), (Some("hf_stored"), home.path().join("hub")));
        let given = of(&[("HF_HOME", &path), ("HF_TOKEN", "hf_given"), ("HF_HUB_CACHE", "/big/hub")]);
        assert_eq!((given.token.as_deref(), given.cache), (Some("hf_given"), PathBuf::from("/big/hub")));
    }

    #[test]
    fn proxies_are_known_by_their_names() {
        let set = of(&[("HTTPS_PROXY", "http://proxy.corp:3128"), ("http_proxy", "other.corp:8080")]);
        assert_eq!(set.proxies, ["proxy.corp", "other.corp"]);
        assert!(of(&[]).proxies.is_empty());
    }

    #[test]
    fn an_endpoint_that_is_no_web_address_is_not_used_and_a_token_is_never_printed() {
        let odd = of(&[("HF_ENDPOINT", "file:///etc"), ("HF_TOKEN", "hf_secret")]);
        assert_eq!(odd.endpoint.as_str(), PUBLIC);
        assert!(!format!("{odd:?}").contains("hf_secret"));
    }
}
