//! Follows a run over the websocket `/ws`: reconnects with growing, jittered pauses and asks from the next
//! ordinal it lacks, so that no event is missing or drawn twice.

use std::time::Duration;

use contract::wire::{ClientFrame, ServerFrame};
use contract::{Problem, RunId, RunState};
use leptos::prelude::*;

use crate::browser::socket::{self, Heard, SocketId};
use crate::feed::Feed;

/// What a page watches of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    /// Its events.
    pub(crate) feed: RwSignal<Feed>,
    /// Its state.
    pub(crate) state: RwSignal<RunState>,
    /// Why it failed.
    pub(crate) problem: RwSignal<Option<Problem>>,
    /// Whether the connection stands.
    pub(crate) connected: RwSignal<bool>,
}

/// Shortest and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(15));
/// How often what came in is shown: at most twice a second.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// The pause before try `attempt` (from 0): doubles up to the longest, `jitter` (0 to 1) spreads it over its
/// upper half so that many browsers do not come back at once.
pub(crate) fn pause(attempt: u32, jitter: f64) -> Duration {
    let full = PAUSE.0.saturating_mul(2u32.saturating_pow(attempt.min(16))).min(PAUSE.1);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Frames of one run applied to a copy of its feed. Says whether the caller must subscribe again.
#[derive(Debug, Default)]
struct Inbox {
    feed: Feed,
    state: Option<RunState>,
    problem: Option<Problem>,
    dirty: bool,
}

impl Inbox {
    /// Takes a frame. True: events are missing before this one.
    fn take(&mut self, run: &RunId, frame: ServerFrame) -> bool {
        match frame {
            ServerFrame::Events { run: of, events } if of == *run => {
                for event in &events {
                    if event.ord > self.feed.next {
                        return true;
                    }
                    self.dirty |= self.feed.take(event);
                }
                false
            }
            ServerFrame::State { run: of, state, problem } if of == *run => {
                self.state = Some(state);
                self.problem = problem;
                self.dirty = true;
                false
            }
            ServerFrame::Checkpoints { run: of, checkpoints } if of == *run => {
                self.feed.checkpoints = checkpoints;
                self.dirty = true;
                false
            }
            _ => false,
        }
    }
}

/// Starts following until the page is left. Call from an effect.
pub(crate) fn follow(run: RunId, watched: Watched) {
    let inbox = StoredValue::new(Inbox { feed: watched.feed.get_untracked(), ..Inbox::default() });
    let link = Link {
        run: StoredValue::new(run),
        inbox,
        watched,
        socket: StoredValue::new(None),
        tries: StoredValue::new(0),
        left: StoredValue::new(false),
    };
    link.connect();
    let show = set_interval_with_handle(move || link.show(), SHOW_EVERY).ok();
    on_cleanup(move || {
        link.left.try_set_value(true);
        if let Some(show) = show {
            show.clear();
        }
        if let Some(id) = link.socket.try_get_value().flatten() {
            socket::close(id);
        }
    });
}

#[derive(Clone, Copy)]
struct Link {
    run: StoredValue<RunId>,
    inbox: StoredValue<Inbox>,
    watched: Watched,
    socket: StoredValue<Option<SocketId>>,
    tries: StoredValue<u32>,
    left: StoredValue<bool>,
}

impl Link {
    fn connect(self) {
        if self.left.try_get_value().unwrap_or(true) {
            return;
        }
        let id = socket::open("/ws", move |heard| match heard {
            Heard::Open => {
                self.tries.try_set_value(0);
                self.watched.connected.try_set(true);
                self.subscribe();
            }
            Heard::Text(text) => self.hear(&text),
            Heard::Closed => self.again(),
        });
        match id {
            Some(id) => {
                self.socket.try_set_value(Some(id));
            }
            None => self.again(),
        }
    }

    fn subscribe(self) {
        let Some(from) = self.inbox.try_with_value(|inbox| inbox.feed.next) else { return };
        let Some(run) = self.run.try_get_value() else { return };
        let frame = serde_json::to_string(&ClientFrame::Subscribe { run, from }).unwrap_or_default();
        if let Some(id) = self.socket.try_get_value().flatten() {
            socket::send(id, &frame);
        }
    }

    fn hear(self, text: &str) {
        let Ok(frame) = serde_json::from_str::<ServerFrame>(text) else { return };
        let Some(run) = self.run.try_get_value() else { return };
        let gap = self.inbox.try_update_value(|inbox| inbox.take(&run, frame)).unwrap_or(false);
        if gap {
            self.subscribe();
        }
    }

    fn again(self) {
        if self.left.try_get_value().unwrap_or(true) {
            return;
        }
        if let Some(id) = self.socket.try_get_value().flatten() {
            socket::close(id);
        }
        self.socket.try_set_value(None);
        let tries = self.tries.try_get_value().unwrap_or(0);
        self.tries.try_set_value(tries + 1);
        if tries > 0 {
            self.watched.connected.try_set(false);
        }
        set_timeout(move || self.connect(), pause(tries, js_sys::Math::random()));
    }

    fn show(self) {
        let fresh = self.inbox.try_update_value(|inbox| {
            std::mem::take(&mut inbox.dirty).then(|| (inbox.feed.clone(), inbox.state, inbox.problem.clone()))
        });
        let Some(Some((feed, state, problem))) = fresh else { return };
        self.watched.feed.try_set(feed);
        if let Some(state) = state {
            if self.watched.state.try_get_untracked() != Some(state) {
                self.watched.state.try_set(state);
            }
            self.watched.problem.try_set(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::checkpoint::CheckpointView;
    use contract::event::{Event, Kind};
    use contract::wire::Numbered;

    use super::*;

    fn events(run: &RunId, ords: &[u64]) -> ServerFrame {
        let events = ords
            .iter()
            .map(|ord| Numbered {
                ord: *ord,
                attempt: 1,
                event: Event {
                    seq: *ord,
                    at_ms: 0,
                    what: Kind::Eval { step: *ord, eval_loss: Some(1.0), metrics: Default::default() }.into(),
                },
            })
            .collect();
        ServerFrame::Events { run: run.clone(), events }
    }

    #[test]
    fn after_a_reconnect_repeated_events_are_skipped_and_new_ones_taken() {
        let run = RunId("r".to_owned());
        let mut inbox = Inbox::default();
        assert!(!inbox.take(&run, events(&run, &[0, 1])));
        assert!(!inbox.take(&run, events(&run, &[0, 1, 2])));
        assert_eq!((inbox.feed.next, inbox.feed.eval.len()), (3, 3));
    }

    #[test]
    fn a_hole_asks_for_the_missing_events() {
        let run = RunId("r".to_owned());
        let mut inbox = Inbox::default();
        assert!(inbox.take(&run, events(&run, &[4])));
        assert_eq!(inbox.feed.next, 0);
    }

    #[test]
    fn the_list_of_checkpoints_is_replaced_by_what_is_there() {
        let run = RunId("r".to_owned());
        let mut inbox = Inbox::default();
        let list = |steps: &[u64]| {
            let one = |step: &u64| CheckpointView {
                step: *step,
                eval_loss: None,
                mark: None,
                digest: String::new(),
            };
            ServerFrame::Checkpoints { run: run.clone(), checkpoints: steps.iter().map(one).collect() }
        };
        for steps in [&[10][..], &[20, 10], &[30, 20]] {
            assert!(!inbox.take(&run, list(steps)));
            assert_eq!(inbox.feed.checkpoints.iter().map(|one| one.step).collect::<Vec<_>>(), steps);
        }
        assert!(inbox.dirty);
    }

    #[test]
    fn another_runs_frames_are_not_ours() {
        let mut inbox = Inbox::default();
        assert!(!inbox.take(&RunId("r".to_owned()), events(&RunId("s".to_owned()), &[0])));
        assert!(!inbox.dirty);
    }

    #[test]
    fn pauses_grow_to_a_limit_and_spread() {
        assert_eq!(pause(0, 1.0), Duration::from_millis(400));
        assert_eq!(pause(0, 0.0), Duration::from_millis(200));
        assert_eq!(pause(40, 1.0), Duration::from_secs(15));
        assert!(pause(3, 0.5) > pause(2, 0.5));
    }
}
