//! The loss chart: drawn for its real width, on the server too.

pub(crate) mod scale;
pub(crate) mod smooth;
pub(crate) mod spark;
pub(crate) mod svg;

pub(crate) use svg::LossChart;
