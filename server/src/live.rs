//! Pages that stay up to date: the hub wakes, the sockets read the store and send.

pub mod chat;
pub mod hub;
pub mod line;
pub mod socket;
