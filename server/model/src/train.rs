//! Training: batches, gradients, AdamW, schedules and the [`Trainer`].

mod batch;
mod grads;
mod optimizer;
mod schedule;
mod trainer;

pub use batch::{Batch, IGNORED, Normalisation, Packed};
pub use grads::Grads;
pub use optimizer::{AdamW, OptimConfig};
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Method, MicroLoss, StepReport, Trainer};
