//! Identifiers. Each is a UUID v7 in text form, so that rows sort by age; a name is only a label.

use serde::{Deserialize, Serialize};

/// What is no identifier, read from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoId;

impl std::fmt::Display for NoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an identifier holds 1 to 64 letters, digits and - only")
    }
}

impl std::error::Error for NoId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
        #[serde(try_from = "String", into = "String")]
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

        impl TryFrom<String> for $name {
            type Error = NoId;

            fn try_from(text: String) -> Result<Self, NoId> {
                Self::parse(&text).ok_or(NoId)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
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
        for bad in ["", "..", "../../../../etc", "a/b", "a\\b", "a\0", "%2e%2e", "\u{202e}a", &"x".repeat(65)]
        {
            assert_eq!(RunId::parse(bad), None, "{bad:?}");
            let json = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<RunId>(&json).is_err(), "{bad:?}");
            assert!(serde_json::from_str::<DatasetId>(&json).is_err(), "{bad:?}");
            assert!(serde_json::from_str::<ModelId>(&json).is_err(), "{bad:?}");
        }
        let id = RunId::parse("0193-abc").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"0193-abc\"");
        assert_eq!(serde_json::from_str::<RunId>("\"0193-abc\"").unwrap(), id);
    }
}
