//! Burnish.
