//! The loss chart: drawn for its real width, on the server too.

mod drawing;
mod range;
pub(crate) mod scale;
pub(crate) mod smooth;
pub(crate) mod spark;
pub(crate) mod svg;
mod table;

pub(crate) use svg::LossChart;
