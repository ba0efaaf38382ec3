//! Parts of a page that come and go: there while something holds, or until a resource answers anew.
//!
//! Leptos frees what a closure's view owns (signals, memos, callbacks) before it runs the closure again. But effects
//! that lie deeper in that view end only some microtasks later: one that the same change has woken reads a freed value
//! and panics, and a panic ends the page. The same happens when a page draws itself anew because a plain function read
//! a signal while it drew an answer: within a `Suspend` such reads count as the whole view's.
//!
//! So there is one rule: **what a part owns lives until nothing of the part is left, and its effects stop before that.**
//! Every part whose components hold state is made here: [`part`] where a closure would stand, [`Part`] instead of
//! `<Show>`, [`settled`] and [`loaded`] instead of `<Suspense>` and `<Transition>`.

use std::time::Duration;

use leptos::children::TypedChildrenFn;
use leptos::prelude::*;
use leptos::tachys::reactive_graph::OwnedView;

use super::notice::{Waiting, settle};
use crate::ports::Problems;

/// The owners of what stands in one place of a page.
#[derive(Clone)]
struct Place {
    /// Owns the place itself.
    around: Owner,
    /// Owns the part there now.
    now: ArcStoredValue<Option<Owner>>,
    /// Owners whose parts are gone, to be used again.
    free: ArcStoredValue<Vec<Owner>>,
}

impl Place {
    /// A place in what is being drawn.
    fn here() -> Self {
        let around = Owner::current().unwrap_or_default();
        Self { around, now: ArcStoredValue::new(None), free: ArcStoredValue::default() }
    }

    /// Draws a part; the one there before is let go.
    fn fill<V>(&self, draw: impl FnOnce() -> V) -> OwnedView<V> {
        let owner = self.free.write_value().pop().unwrap_or_else(|| self.around.child());
        if cfg!(feature = "ssr") {
            // The server walks through a view several times; what it owns is needed until the page is sent.
            let kept = owner.clone();
            self.around.with(|| on_cleanup(move || drop(kept)));
        } else if let Some(before) = self.now.write_value().replace(owner.clone()) {
            self.let_go(before);
        }
        let view = owner.with(draw);
        OwnedView::new_with_owner(view, owner)
    }

    /// Stops a part's effects now and frees what it owns once every waiting microtask is done: by then the next part
    /// stands in its place.
    fn let_go(&self, part: Owner) {
        part.pause();
        let free = self.free.clone();
        set_timeout(
            move || {
                part.cleanup();
                part.resume();
                free.write_value().push(part);
            },
            Duration::ZERO,
        );
    }
}

/// What a closure draws, anew whenever a signal it reads changes.
pub(crate) fn part<V: RenderHtml + Send + 'static>(
    draw: impl Fn() -> V + Send + Sync + 'static,
) -> impl Fn() -> OwnedView<V> + Send + Sync + 'static {
    let place = Place::here();
    move || place.fill(&draw)
}

/// Its children, while a condition holds.
#[component(transparent)]
pub(crate) fn Part<W, C>(
    /// What is shown.
    children: TypedChildrenFn<C>,
    /// Whether it is.
    when: W,
) -> impl IntoView
where
    W: Fn() -> bool + Send + Sync + 'static,
    C: IntoView + 'static,
{
    let when = ArcMemo::new(move |_| when());
    let children = children.into_inner();
    part(move || when.get().then(|| children()))
}

/// What a resource answered, nothing before. While it is asked again, the last answer stays and works.
pub(crate) fn loaded<T, V>(
    resource: Resource<T>,
    show: impl Fn(T) -> V + Clone + Send + Sync + 'static,
) -> AnyView
where
    T: Clone + Send + Sync + 'static,
    V: RenderHtml + Send + 'static,
{
    view! { <Transition>{answers(resource, show)}</Transition> }.into_any()
}

/// What a resource answered or what went wrong, and until then that it is being read.
pub(crate) fn settled<T>(
    resource: Resource<Result<T, Problems>>,
    show: impl Fn(T) -> AnyView + Clone + Send + Sync + 'static,
) -> AnyView
where
    T: Clone + Send + Sync + 'static,
{
    view! { <Transition fallback=Waiting>{answers(resource, move |answer| settle(answer, &show))}</Transition> }
        .into_any()
}

fn answers<T, V>(
    resource: Resource<T>,
    show: impl Fn(T) -> V + Clone + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    V: RenderHtml + Send + 'static,
{
    let place = Place::here();
    move || {
        let (place, show) = (place.clone(), show.clone());
        Suspend::new(async move {
            let answer = resource.await;
            place.fill(|| untrack(|| show(answer)))
        })
    }
}
