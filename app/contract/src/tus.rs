//! Uploads that go on where they broke off: names and sizes of the tus protocol, version 1.0.0 (core, creation, expiration
//! and termination; <https://tus.io/protocols/resumable-upload>), used by page and server alike.

/// Where uploads are made.
pub const PATH: &str = "/api/v1/resumable";
/// Bytes that a page sends in one request, and so the most that it sends twice.
pub const PART: u64 = 8 << 20;
/// Header with the version of the protocol, in requests and answers.
pub const RESUMABLE: &str = "tus-resumable";
/// The version spoken.
pub const VERSION: &str = "1.0.0";
/// Header with the bytes that are there, or where those of a request begin.
pub const OFFSET: &str = "upload-offset";
/// Header with the bytes of the whole file.
pub const LENGTH: &str = "upload-length";
/// Content type of a part.
pub const KIND: &str = "application/offset+octet-stream";
