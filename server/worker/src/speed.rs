//! How fast this machine computes, so that the time of a run can be said before it starts.

use std::time::{Duration, Instant};

use contract::problem::Problem;
use model::kernels::Kernels;

use crate::device::{self, Work};

/// Rows, inner and outer size of the product that is timed: a batch in a layer of a small model.
const SHAPE: [usize; 3] = [512, 576, 1536];
/// How long it is timed at a stretch.
const LONG: Duration = Duration::from_millis(100);
/// Pauses between the stretches: what else the machine does for a moment would spoil one of them, not all.
const PAUSES: [Duration; 4] = [Duration::from_millis(200); 4];

struct Products;

impl Work for Products {
    type Out = f64;

    fn run<B: Kernels>(self, device: B::Device) -> f64 {
        let [rows, inner, outer] = SHAPE;
        let values = |count: usize| (0..count).map(|i| (i % 7) as f32 - 3.0).collect::<Vec<_>>();
        let x = B::from_host(values(rows * inner), rows, inner, &device);
        let w = B::from_host(values(outer * inner), outer, inner, &device);
        let operations = (2 * rows * inner * outer) as f64;
        // The best one: whatever else the machine does only makes them slower.
        let stretch = || {
            let (began, mut best) = (Instant::now(), 0f64);
            while began.elapsed() < LONG {
                let one = Instant::now();
                let y = B::affine(&x, &w, None);
                // On a GPU nothing is computed before it is asked for.
                drop(B::to_host(&y.slice([0..1, 0..1])));
                best = best.max(operations / one.elapsed().as_secs_f64().max(1e-9));
            }
            best
        };
        PAUSES.iter().fold(stretch(), |best, pause| {
            std::thread::sleep(*pause);
            best.max(stretch())
        })
    }
}

/// Products of matrices a second, floating-point operations, on the device a run would take.
///
/// # Errors
/// None on a machine that can train.
pub fn measure() -> Result<f64, Problem> {
    Ok(device::on(device::choose("auto")?.kind, Products))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_machine_computes_at_some_speed() {
        let speed = super::measure().expect("the CPU");
        assert!(speed.is_finite() && speed > 1e6, "{speed}");
    }
}
