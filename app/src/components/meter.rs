//! The machine, at the foot of the navigation.

use std::time::Duration;

use contract::system::SystemView;
use leptos::prelude::*;

use super::part::loaded;
use crate::ports::read_system;
use crate::words::amounts::size;
use crate::words::{fill, words};

const EVERY: Duration = Duration::from_secs(5);

/// CPU and memory, read every five seconds.
#[component]
pub(crate) fn MachineMeter() -> impl IntoView {
    let tick = RwSignal::new(0u32);
    let system = Resource::new(move || tick.get(), |_| read_system());
    Effect::new(move |_| {
        let handle = set_interval_with_handle(move || tick.update(|tick| *tick += 1), EVERY).ok();
        on_cleanup(move || {
            if let Some(handle) = handle {
                handle.clear();
            }
        });
    });
    view! {
        <section class="machine" aria-label=words().studio.machine>
            {loaded(system, |system| system.ok().map(|system| view! { <Bars system/> }))}
        </section>
    }
    .into_any()
}

#[component]
fn Bars(system: SystemView) -> impl IntoView {
    let w = &words().studio;
    let percent = (system.cpu.clamp(0.0, 1.0) * 100.0).round();
    let share = system.memory_used as f64 / system.memory_total.max(1) as f64;
    let cpu = fill(w.cpu_busy, &[&system.device, &format!("{percent:.0}")]);
    let memory = fill(w.memory, &[&size(system.memory_used), &size(system.memory_total)]);
    view! {
        <span class="tiny" id="meter-cpu">{cpu}</span>
        <progress class="meter" max="100" value=percent aria-labelledby="meter-cpu"></progress>
        <span class="tiny" id="meter-memory">{memory}</span>
        <progress class="meter" max="1" value=share aria-labelledby="meter-memory"></progress>
    }
    .into_any()
}
