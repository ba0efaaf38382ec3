//! Stop strings in a text that arrives in pieces.

/// Watches a text for stop strings and holds back what could be the beginning of one.
#[derive(Clone, Debug, Default)]
pub struct StopText {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopText {
    /// Watches for these; empty ones are ignored.
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, ..Self::default() }
    }

    /// Takes the next piece; gives the text that is certain to come before any stop string.
    pub fn push(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(piece);
        let first = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = first {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = self.stops.iter().map(|stop| beginning(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether a stop string came.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back, once no more text comes.
    pub fn finish(self) -> String {
        self.held
    }
}

/// Bytes at the end of a text that are the beginning of a stop string.
fn beginning(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, _)| at).skip(1);
    ends.filter(|end| text.ends_with(&stop[..*end])).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut watch = StopText::new(&stops);
        let mut out: String = pieces.iter().map(|piece| watch.push(piece)).collect();
        let stopped = watch.stopped();
        out.push_str(&watch.finish());
        (out, stopped)
    }

    #[test]
    fn a_stop_string_over_several_pieces_is_cut_off() {
        assert_eq!(run(&["\nUser:"], &["Hi", "\n", "Us", "er: x", "y"]), ("Hi".into(), true));
        assert_eq!(run(&["\nUser:"], &["Hi\nUs", "age"]), ("Hi\nUsage".into(), false));
        assert_eq!(run(&["停止", ""], &["不停", "止了"]), ("不".into(), true));
        assert_eq!(run(&[], &["a", "b"]), ("ab".into(), false));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[abc]{0,30}", stop in "[abc]{1,4}", cut in 1usize..5) {
            let pieces: Vec<String> =
                text.as_bytes().chunks(cut).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let want = text.split(&stop).next().unwrap_or_default().to_owned();
            prop_assert_eq!(run(&[&stop], &pieces), (want, text.contains(&stop)));
        }
    }
}
