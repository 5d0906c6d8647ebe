//! The provider: what an isolate knows about it, and all requests to it.

pub(super) mod documents;
pub(super) mod requests;
pub(super) mod tokens;
pub(super) mod verification;

use crate::prelude::*;
use alloc::rc::Rc;

use crate::base::clock::Instant;
use crate::codec::url::Url;
use crate::oauth::jwks::Jwks;
use crate::oauth::metadata::Metadata;

/// The provider's metadata and keys.
pub(super) struct Provider {
    metadata: Option<Rc<Metadata>>,
    keys: Option<(Rc<Jwks>, Instant)>,
    /// The issuer and the known endpoints: other URLs on their origins may be endpoints, too.
    urls: Vec<Url>,
}

impl Provider {
    pub(super) fn new(issuer: &str, metadata: Option<Box<Metadata>>) -> Self {
        let mut provider = Self {
            metadata: None,
            keys: None,
            urls: Url::parse(issuer).into_iter().collect(),
        };
        if let Some(metadata) = metadata {
            provider.set_metadata(Rc::from(metadata));
        }
        provider
    }

    fn set_metadata(&mut self, metadata: Rc<Metadata>) {
        // Parallel requests may have fetched the metadata.
        self.urls.truncate(1);
        let endpoints = metadata.endpoints();
        self.urls
            .extend(endpoints.into_iter().filter_map(Url::parse));
        self.metadata = Some(metadata);
    }

    /// Returns true if a URL is on a known origin of the provider.
    pub(super) fn is_on_origin_of(&self, url: &Url) -> bool {
        self.urls.iter().any(|known| known.is_same_origin(url))
    }
}
