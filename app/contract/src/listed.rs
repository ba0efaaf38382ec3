//! Lists that one damaged entry does not spoil: what cannot be read is an entry of its own, with the reason.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Listed<T> {
    /// It stands in the store and cannot be read.
    Unreadable(Box<Unreadable>),
    /// What it is.
    Read(T),
}

/// What is known of an entry that cannot be read: enough to name it, and to delete it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Why.
    pub unreadable: Problem,
    /// Identifier.
    pub id: String,
    /// Label.
    pub name: String,
}

impl<T> Listed<T> {
    /// What it is, unless it cannot be read.
    pub fn read(self) -> Option<T> {
        match self {
            Self::Read(one) => Some(one),
            Self::Unreadable(_) => None,
        }
    }

    /// The same entry, seen otherwise.
    pub fn map<U>(self, see: impl FnOnce(T) -> U) -> Listed<U> {
        match self {
            Self::Read(one) => Listed::Read(see(one)),
            Self::Unreadable(one) => Listed::Unreadable(one),
        }
    }
}

/// What can be read of a list.
pub fn readable<T>(list: impl IntoIterator<Item = Listed<T>>) -> Vec<T> {
    list.into_iter().filter_map(Listed::read).collect()
}

/// A list in two: what can be read, and what cannot.
pub fn apart<T>(list: impl IntoIterator<Item = Listed<T>>) -> (Vec<T>, Vec<Unreadable>) {
    let mut odd = Vec::new();
    let read = list.into_iter().filter_map(|one| match one {
        Listed::Read(one) => Some(one),
        Listed::Unreadable(one) => {
            odd.push(*one);
            None
        }
    });
    (read.collect(), odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn f7_an_entry_goes_as_what_it_is_and_an_unreadable_one_with_its_reason() {
        let problem = Problem::new(Code::RunUnreadable, "It cannot be read.");
        let odd = Unreadable { unreadable: problem, id: "r2".to_owned(), name: "two".to_owned() };
        let list = vec![Listed::Read(7_u64), Listed::Unreadable(Box::new(odd.clone())), Listed::Read(9)];
        let text = serde_json::to_string(&list).unwrap();
        assert!(text.starts_with("[7,{"), "a reader of the list alone sees what it always saw");
        assert_eq!(serde_json::from_str::<Vec<Listed<u64>>>(&text).unwrap(), list);
        assert_eq!(readable(list.clone()), [7, 9]);
        assert_eq!(apart(list), (vec![7, 9], vec![odd]));
    }
}
