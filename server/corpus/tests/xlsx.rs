//! Excel workbooks become JSON Lines that say exactly what their sheets say.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "xlsx/workbook.rs"]
mod workbook;

#[path = "xlsx/hostile.rs"]
mod hostile;
#[path = "xlsx/read.rs"]
mod read;
