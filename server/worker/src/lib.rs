#![doc = include_str!("../README.md")]

pub mod attempt;
pub mod checkpoint;
pub mod create;
pub mod data;
pub mod device;
pub mod facts;
pub mod generate;
pub mod import;
pub mod learner;
pub mod memory;
pub mod output;
pub mod problems;
pub mod report;
pub mod signals;
pub mod stages;
