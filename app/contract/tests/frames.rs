//! S27: what comes over a socket or from a worker is read or refused, whatever it is.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use contract::chat::ChatRequest;
use contract::event::Event;
use contract::wire::{ClientFrame, ServerFrame};
use contract::worker::{GenerateCommand, GenerateLine};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Frames as they are sent, to be damaged.
const FRAMES: &[&str] = &[
    r#"{"type":"subscribe","run":"018f0000-0000-7000-8000-000000000000","from":3}"#,
    r#"{"command":"generate","request":1,"template":"default","messages":[{"role":"user","content":"Tea?"}],"settings":{"max_new_tokens":8}}"#,
    r#"{"request":1,"delta":{"type":"text","text":"Tea \u00e9\ud83d\ude00."}}"#,
    r#"{"request":0,"delta":{"type":"error","problem":{"code":"chat.lost","message":"x","place":{"row":3}}}}"#,
    r#"{"seq":3,"at_ms":1,"what":{"kind":"step","step":3,"loss":1.5,"lr":1e-5}}"#,
    r#"{"target":{"model":"m1","run":null,"step":null},"messages":[],"settings":{}}"#,
];

/// Reads a text as `T`; what was read is written and read again as the same.
fn comes_back<T: DeserializeOwned + Serialize + Debug>(text: &str) {
    let Ok(read) = serde_json::from_str::<T>(text) else { return };
    let written = serde_json::to_string(&read).expect("written");
    let again: T = serde_json::from_str(&written).expect("what was written is read");
    assert_eq!(serde_json::to_string(&again).expect("written"), written);
}

fn every_kind(text: &str) {
    comes_back::<ClientFrame>(text);
    comes_back::<ServerFrame>(text);
    comes_back::<GenerateCommand>(text);
    comes_back::<GenerateLine>(text);
    comes_back::<Event>(text);
    comes_back::<ChatRequest>(text);
}

#[test]
fn the_frames_that_are_damaged_are_good_ones() {
    fn good<T: DeserializeOwned>(text: &str) -> bool {
        serde_json::from_str::<T>(text).is_ok()
    }
    for frame in FRAMES {
        let commands = good::<GenerateCommand>(frame) || good::<GenerateLine>(frame);
        assert!(
            commands || good::<ClientFrame>(frame) || good::<Event>(frame) || good::<ChatRequest>(frame),
            "{frame}"
        );
    }
}

proptest! {
    #[test]
    fn s27_any_damage_to_a_frame_ends_well(
        frame in 0..FRAMES.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}\",:a0-9e\\\\ -]{0,3}"), 1..4),
    ) {
        let mut text = FRAMES[frame].to_owned();
        for (at, new) in cuts {
            let at = at.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary((at + 1).min(text.len())) {
                text.replace_range(at..(at + 1).min(text.len()), &new);
            }
        }
        every_kind(&text);
    }

    #[test]
    fn s27_any_text_for_a_frame_ends_well(text in "\\PC{0,80}") {
        every_kind(&text);
    }

    #[test]
    fn s27_any_number_in_a_frame_ends_well(number in "-?[0-9]{1,40}(\\.[0-9]{1,20})?(e-?[0-9]{1,4})?") {
        every_kind(&format!(r#"{{"seq":{number},"at_ms":{number},"what":{{"kind":"step","step":{number},"loss":{number},"lr":{number}}}}}"#));
        every_kind(&format!(r#"{{"type":"subscribe","run":"r","from":{number}}}"#));
    }
}
