//! Every limit of a connection, with the value it has unless a test or an option says otherwise.

use std::time::Duration;

/// How long a client may take for the header of a request, and how long a kept connection may be idle.
pub const HEADER: Duration = Duration::from_secs(15);
/// Longest header of a request with its first line, bytes.
pub const HEADER_BYTES: usize = 16 << 10;
/// How long an upload may be without progress: [`PROGRESS`] bytes in this time.
pub const STALLED: Duration = Duration::from_secs(30);
/// Bytes that count as progress.
pub const PROGRESS: usize = 1 << 10;
/// How long a page may leave what comes over its socket unread.
pub const SEND: Duration = Duration::from_secs(10);
/// How long a client may leave what was sent to it unread.
pub const UNREAD: Duration = Duration::from_secs(30);
/// How long what a client still sends is thrown away after its request was answered, so that it reads the answer.
pub const LINGER: Duration = Duration::from_secs(10);
/// Bytes thrown away like this at most.
pub const LINGER_BYTES: u64 = 256 << 20;
/// Longest a page or a call may take.
pub const HANDLER: Duration = Duration::from_secs(10);
/// Longest one of the calls named in `router` may take.
pub const LONG_HANDLER: Duration = Duration::from_secs(120);
/// Connections in all.
pub const CONNECTIONS: usize = 4096;
/// Connections of one address: everybody behind one proxy has the same.
pub const CONNECTIONS_PER_ADDRESS: usize = 2048;
/// Descriptors that connections leave to the database, to files and to processes.
pub const DESCRIPTORS: usize = 256;
/// Websockets in all.
pub const SOCKETS: usize = 2048;
/// Websockets of one address.
pub const SOCKETS_PER_ADDRESS: usize = 1024;
/// Uploads of one address at a time.
pub const UPLOADS_PER_ADDRESS: usize = 8;
/// Answers written for one address at a time.
pub const ANSWERS_PER_ADDRESS: usize = 8;
/// Calls of one address in a minute.
pub const CALLS_A_MINUTE: u32 = 6000;

/// The limits of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// See [`HEADER`].
    pub header: Duration,
    /// See [`STALLED`].
    pub stalled: Duration,
    /// See [`SEND`].
    pub send: Duration,
    /// See [`UNREAD`].
    pub unread: Duration,
    /// See [`HANDLER`].
    pub handler: Duration,
    /// See [`CONNECTIONS`].
    pub connections: usize,
    /// See [`CONNECTIONS_PER_ADDRESS`].
    pub connections_per_address: usize,
    /// See [`SOCKETS`].
    pub sockets: usize,
    /// See [`SOCKETS_PER_ADDRESS`].
    pub sockets_per_address: usize,
    /// See [`UPLOADS_PER_ADDRESS`].
    pub uploads_per_address: usize,
    /// See [`ANSWERS_PER_ADDRESS`].
    pub answers_per_address: usize,
    /// See [`CALLS_A_MINUTE`].
    pub calls_a_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: HEADER,
            stalled: STALLED,
            send: SEND,
            unread: UNREAD,
            handler: HANDLER,
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            sockets: SOCKETS,
            sockets_per_address: SOCKETS_PER_ADDRESS,
            uploads_per_address: UPLOADS_PER_ADDRESS,
            answers_per_address: ANSWERS_PER_ADDRESS,
            calls_a_minute: CALLS_A_MINUTE,
        }
    }
}

/// Connections that the descriptors of this process allow now: the system's limit may be changed while it runs.
pub fn by_descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    limit.saturating_sub(DESCRIPTORS).max(limit / 4).max(1)
}

/// Takes as many descriptors as the system gives without asking anybody.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(why) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("the limit of open files stays as it is: {why}");
    }
}
