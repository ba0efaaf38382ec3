//! Training: batches, gradients, losses, AdamW, schedules and the [`Trainer`].

mod batch;
mod freeze;
mod grads;
pub mod losses;
mod optimizer;
mod outputs;
mod schedule;
mod trainer;
mod value_head;

pub use batch::{Batch, IGNORED, Normalisation, Packed};
pub use freeze::{covers, freeze_patterns};
pub use grads::Grads;
pub use optimizer::{AdamW, OptimConfig};
pub use outputs::{Judged, Row, RowGrads, Wants, outputs};
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Method, MicroLoss, Options, StepReport, Trainer};
pub use value_head::ValueHead;
