//! The provider's metadata and keys, fetched when first needed and kept.
//!
//! Whoever needs one and does not find it waits in a stage of its own and is taken up again when
//! the answer is there. A failure is told to all who wait, and the next need fetches again.

use crate::base::http::{HttpRequest, Outcome};
use crate::codec::base64url;
use crate::codec::form::with_query;
use crate::config::HAS_METADATA;
use crate::oauth::jwks::Jwks;
use crate::oauth::metadata::{self, Metadata};
use crate::prelude::*;
use crate::vault::{OpId, Purpose, Vault};

/// What may be wrong if there is no answer at all.
const SILENT: &str = msg!("no answer (is it up, and does its CORS allow this origin?)");

/// What is known of the provider.
pub(super) struct Provider {
    pub(super) metadata: Option<Box<Metadata>>,
    /// The URL at which its metadata was found, or is looked for next. If the metadata is configured, there may be no
    /// such document, and this is the URL of the keys.
    pub(super) metadata_url: String,
    pub(super) keys: Option<Jwks>,
}

impl Provider {
    pub(super) fn new(issuer: &str, metadata: Option<Box<Metadata>>) -> Self {
        let metadata_url = match metadata.as_ref().filter(|_| HAS_METADATA) {
            Some(metadata) => metadata.jwks_uri.clone(),
            None => metadata::discovery_url(issuer),
        };
        Self {
            metadata,
            metadata_url,
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
        self.fetch_once(Purpose::Metadata, self.provider.metadata_url.clone());
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

    /// Finds out whether the provider can be reached. The address is a new one each time, so that neither a cache nor
    /// a service worker or CDN in front of it has a response to it.
    pub(super) fn send_probe(&mut self, purpose: Purpose) -> OpId {
        let mut entropy = [0; 12];
        self.entropy.fill(&mut entropy);
        let nonce = base64url::encode(&entropy);
        let url = with_query(&self.provider.metadata_url, &nonce);
        self.get(purpose, url)
    }

    /// Returns true if a probe brought the provider's metadata, or keys.
    pub(super) fn is_reachable(&self, probe: &Outcome) -> bool {
        let members = self.config.metadata_members();
        metadata::read_document(probe, "", "", "").is_ok_and(|text| {
            Metadata::parse_with(members, text, &self.config.issuer).is_ok()
                || HAS_METADATA && Jwks::parse(text).is_ok()
        })
    }

    /// Sends a GET, for which a response in the browser's cache is not enough.
    pub(super) fn get(&mut self, purpose: Purpose, url: String) -> OpId {
        let request = HttpRequest {
            #[cfg(feature = "extended")]
            proof: None,
            url,
            form: None,
            keepalive: false,
        };
        self.send(purpose, request)
    }

    pub(super) fn metadata_answered(&mut self, outcome: &Outcome) {
        let issuer = &self.config.issuer;
        if metadata::is_absent(outcome) {
            let url = metadata::alternative_url(issuer, &self.provider.metadata_url);
            let was_first = url != metadata::discovery_url(issuer);
            self.provider.metadata_url = url;
            if was_first {
                self.need_metadata();
                return;
            }
        }
        let url = &self.provider.metadata_url;
        let members = self.config.metadata_members();
        let metadata = metadata::read_document(outcome, msg!("discovery document"), url, SILENT)
            .and_then(|text| Metadata::parse_with(members, text, issuer));
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
            metadata::read_document(outcome, msg!("key set"), url, SILENT).and_then(Jwks::parse);
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
