//! The provider's metadata and keys, which an isolate caches.

use alloc::rc::Rc;
use rules::prelude::*;

use crate::isolate::silence::Silence;
use rules::base::clock::Instant;
use rules::codec::url::Url;
use rules::oauth::jwks::{Algorithm, Jwks};
use rules::oauth::metadata::Metadata;

/// The provider's metadata and keys.
pub(crate) struct Provider {
    pub(crate) metadata: Option<Rc<Metadata>>,
    /// The time at which provisional metadata was fetched.
    pub(crate) provisional_since: Option<Instant>,
    /// The time at which the metadata was last requested. `None` if the configuration contains the metadata.
    pub(crate) requested: Option<Instant>,
    pub(crate) keys: Option<(Rc<Jwks>, Instant)>,
    /// The requests for the metadata without a response.
    pub(crate) metadata_silence: Silence,
    /// The requests for the keys without a response. Another server may have the keys.
    pub(crate) keys_silence: Silence,
    /// The time at which young keys were last fetched again for an ID token.
    pub(crate) fetched_early: Option<Instant>,
    /// The algorithm of the ID token that was verified last.
    pub(crate) id_token_algorithm: Option<Algorithm>,
    /// The URLs of the issuer and of the known endpoints. Other URLs on the same origins may be endpoints, too.
    urls: Vec<Url>,
}

impl Provider {
    pub(crate) fn new(issuer: &str, metadata: Option<Box<Metadata>>) -> Self {
        let mut provider = Self {
            metadata: None,
            provisional_since: None,
            requested: None,
            keys: None,
            metadata_silence: Silence::default(),
            keys_silence: Silence::default(),
            fetched_early: None,
            id_token_algorithm: None,
            urls: Url::parse(issuer).into_iter().collect(),
        };
        if let Some(metadata) = metadata {
            provider.set_metadata(Rc::from(metadata));
        }
        provider
    }

    pub(crate) fn set_metadata(&mut self, metadata: Rc<Metadata>) {
        // Keep only the issuer's URL: a parallel request may have fetched the metadata and added the endpoints.
        self.urls.truncate(1);
        let endpoints = metadata.endpoints();
        self.urls
            .extend(endpoints.into_iter().filter_map(Url::parse));
        self.metadata = Some(metadata);
    }

    /// Returns the URL of the token endpoint, or an empty string if it is unknown.
    pub(crate) fn token_endpoint(&self) -> String {
        let metadata = self.metadata.as_ref();
        metadata.map_or_else(String::new, |metadata| metadata.token_endpoint.clone())
    }

    /// Returns true if a URL is on a known origin of the provider.
    pub(crate) fn is_on_origin_of(&self, url: &Url) -> bool {
        self.urls.iter().any(|known| known.is_same_origin(url))
    }
}
