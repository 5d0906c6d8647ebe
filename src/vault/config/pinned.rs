//! The option `pinned`: the provider's metadata as they were when the app was built.

use rules::base::error::{Code, Error};
use rules::codec::json::Value;
use rules::config::Options;
use rules::oauth::metadata::{Expected, Metadata};
use rules::prelude::*;

/// The option `pinned`. A flaw in it is a warning, because the vault works without it.
#[derive(Clone, Debug, Default)]
pub struct Pinned {
    /// The metadata, with the members of the option `metadata`, which win. `None` if the option is absent or not usable.
    pub metadata: Option<Box<Metadata>>,
    /// The day on which the metadata were read, for messages.
    pub at: String,
    /// The flaw of the option.
    pub flaw: Option<Error>,
}

impl Pinned {
    pub(super) fn read(options: &Options<'_>, expected: &Expected<'_>) -> Self {
        let document = match options.object.get("pinned") {
            None | Some(Value::Null) => return Self::default(),
            Some(value) => value.as_object(),
        };
        let Some(document) = document else {
            return Self::unusable(msg!(
                "it must be an object that `npx strongroom metadata` writes"
            ));
        };
        let expected = Expected {
            configured: options.object.get("metadata").and_then(Value::as_object),
            ..*expected
        };
        match Metadata::from_pinned(document, &expected) {
            Ok(metadata) => Self {
                // An optional endpoint that is not usable is not a flaw here: the provider's document warns about it.
                flaw: None,
                metadata: Some(metadata),
                at: document.str("at").unwrap_or_default().to_owned(),
            },
            Err(error) => Self::unusable(error.message()),
        }
    }

    fn unusable(why: &str) -> Self {
        Self {
            flaw: Some(flaw(why)),
            ..Self::default()
        }
    }
}

fn flaw(why: &str) -> Error {
    Error::of(Code::MetadataOutdated, &["`pinned`: ", why])
}
