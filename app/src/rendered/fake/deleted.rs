//! What was deleted.

use contract::trash::{Deleted, Kind, Usage};

use super::{Answer, Fake, TrashPort, answer, gone};

impl TrashPort for Fake {
    fn list(&self) -> Answer<'_, Vec<Deleted>> {
        let one = |kind, name: &str, bytes| Deleted {
            kind,
            id: name.to_owned(),
            name: name.to_owned(),
            deleted_ms: 0,
            bytes,
        };
        let all = vec![one(Kind::Run, "old run", 3_000_000), one(Kind::Dataset, "<u>old</u>", 5_000)];
        answer(if self.full { all } else { Vec::new() })
    }

    fn restore(&self, _: Kind, _: String) -> Answer<'_, ()> {
        gone()
    }

    fn purge(&self, _: Kind, _: String) -> Answer<'_, ()> {
        gone()
    }

    fn usage(&self, _: Kind, _: String) -> Answer<'_, Usage> {
        answer(Usage::default())
    }
}
