#![doc = include_str!("../README.md")]

mod edit;
mod encoder;
mod gather;
mod health;
mod inspect;
mod limits;
mod preview;
mod register;
mod rows;
mod serve;
mod specification;
mod watch;

pub use serve::serve;
