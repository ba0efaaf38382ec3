//! The originals' recorded numbers: forward passes, gradients, training traces, adapters, filters, decoding, and a
//! real pre-trained model. Folders come from `BURNISH_REFERENCE`, `BURNISH_FAMILIES` and `BURNISH_REAL`.

#![expect(
    clippy::unwrap_used,
    reason = "a reference file of another form is to fail the test where it is read"
)]

#[path = "reference/adapters.rs"]
mod adapters;
#[path = "reference/decoding.rs"]
mod decoding;
#[path = "reference/forward.rs"]
mod forward;
#[path = "reference/ppo.rs"]
mod ppo;
#[path = "reference/quant.rs"]
mod quant;
#[path = "reference/real.rs"]
mod real;
#[path = "reference/support.rs"]
mod support;
#[path = "reference/traces.rs"]
mod traces;
