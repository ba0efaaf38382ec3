//! Identifiers. Each is a UUID v7 in text form, so that rows sort by age; a name is only a label.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Accepts only what is safe as one path component: letters, digits and `-`, 1 to 64 of them.
            pub fn parse(text: &str) -> Option<Self> {
                let fits = (1..=64).contains(&text.len());
                let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                (fits && safe).then(|| Self(text.to_owned()))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A run: one specification, trained in one or more attempts.
    RunId
);
id!(
    /// An uploaded dataset.
    DatasetId
);
id!(
    /// An imported or created base model.
    ModelId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_folder() {
        for bad in ["", "..", "a/b", "a\\b", "a\0", "%2e%2e", &"x".repeat(65)] {
            assert_eq!(RunId::parse(bad), None, "{bad:?}");
        }
        assert!(RunId::parse("0193-abc").is_some());
    }
}
