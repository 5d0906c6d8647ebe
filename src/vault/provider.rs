//! The provider's metadata and keys, fetched when first needed and kept.
//!
//! Whoever needs one and does not find it waits in a stage of its own and is taken up again when
//! the answer is there. A failure is told to all who wait, and the next need fetches again.

use super::{Purpose, Vault};
use crate::http::{HttpRequest, Outcome};
use crate::jwks::Jwks;
use crate::metadata::{self, Metadata};
use crate::prelude::*;

/// What may be wrong if there is no answer at all.
const SILENT: &str = words!("no answer (is it up, and does its CORS allow this origin?)");

/// What is known of the provider.
pub(super) struct Provider {
    pub(super) metadata: Option<Metadata>,
    pub(super) keys: Option<Jwks>,
}

impl Provider {
    pub(super) const fn new(metadata: Option<Metadata>) -> Self {
        Self {
            metadata,
            keys: None,
        }
    }
}

impl Vault {
    /// Sees to it that the metadata is there, or on its way.
    pub(super) fn need_metadata(&mut self) -> bool {
        if self.provider.metadata.is_some() {
            return true;
        }
        let url = metadata::discovery_url(&self.config.issuer);
        self.fetch_once(Purpose::Metadata, url);
        false
    }

    /// Sees to it that the keys are there, or on their way.
    pub(super) fn need_keys(&mut self) -> bool {
        if self.provider.keys.is_none() {
            self.fetch_keys();
        }
        self.provider.keys.is_some()
    }

    /// Fetches the keys, whether or not some are there.
    pub(super) fn fetch_keys(&mut self) {
        let Some(metadata) = &self.provider.metadata else {
            return;
        };
        let url = metadata.jwks_uri.clone();
        self.fetch_once(Purpose::Keys, url);
    }

    fn fetch_once(&mut self, purpose: Purpose, url: String) {
        if self.operations.iter().any(|o| o.purpose == purpose) {
            return;
        }
        self.get(purpose, url);
    }

    pub(super) fn get(&mut self, purpose: Purpose, url: String) {
        let request = HttpRequest {
            #[cfg(feature = "full")]
            proof: None,
            url,
            form: None,
            keepalive: false,
        };
        self.send(purpose, request);
    }

    pub(super) fn metadata_answered(&mut self, outcome: &Outcome) {
        let issuer = &self.config.issuer;
        let url = metadata::discovery_url(issuer);
        let metadata = metadata::document(outcome, words!("discovery document"), &url, SILENT)
            .and_then(|text| Metadata::parse(text, issuer));
        match metadata {
            Ok(metadata) => {
                self.config.rules.forbid(&metadata.endpoints());
                self.provider.metadata = Some(metadata);
                self.resume_logins();
                self.resume_callbacks();
                self.resume_refresh();
                self.revoke_waiting();
                self.resume_logouts();
            }
            Err(error) => {
                self.refresh_not_locked();
                self.resume_logouts();
                self.fail_waiting_logins(&error);
                self.fail_waiting_callbacks(&error);
            }
        }
    }

    pub(super) fn keys_answered(&mut self, outcome: &Outcome) {
        let metadata = self.provider.metadata.as_ref();
        let url = metadata.map_or("", |metadata| &metadata.jwks_uri);
        let keys =
            metadata::document(outcome, words!("key set"), url, SILENT).and_then(Jwks::parse);
        let failure = match keys {
            Ok(keys) => {
                self.provider.keys = Some(keys);
                None
            }
            Err(error) => Some(error),
        };
        self.resume_login_verifications(failure.as_ref());
        self.resume_refresh_verification(failure.as_ref());
        self.queue_refresh();
    }
}
