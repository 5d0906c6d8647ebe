//! The provider's metadata and keys, fetched when they are first needed.
//!
//! A part that needs them and does not find them waits in a stage of its own, and continues when they are there. If the
//! fetch fails, all waiting parts learn the error, and the next need fetches again.

use crate::base::error::Result;
use crate::base::http::Outcome;
use crate::codec::base64url;
use crate::codec::form::with_query;
use crate::config::HAS_METADATA;
use crate::oauth::jwks::Jwks;
use crate::oauth::metadata::{self, Metadata};
use crate::prelude::*;
use crate::vault::context::{Context, Purpose};
use crate::vault::io::OpId;

/// The likely reason if there is no response at all.
const SILENT: &str = msg!("no response (is it up, and does its CORS allow this origin?)");

/// The metadata and keys of the provider.
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

impl Provider {
    /// Returns true if the metadata is there. Otherwise fetches it.
    pub(super) fn need_metadata(&self, ctx: &mut Context) -> bool {
        if self.metadata.is_some() {
            return true;
        }
        fetch_once(ctx, Purpose::Metadata, &self.metadata_url);
        false
    }

    /// Returns true if the keys are there. Otherwise fetches them.
    pub(super) fn need_keys(&self, ctx: &mut Context) -> bool {
        if self.keys.is_none() {
            self.fetch_keys(ctx);
        }
        self.keys.is_some()
    }

    /// Fetches the keys, even if the vault already has some.
    pub(super) fn fetch_keys(&self, ctx: &mut Context) {
        if let Some(metadata) = &self.metadata {
            fetch_once(ctx, Purpose::Keys, &metadata.jwks_uri);
        }
    }

    /// Finds out if the provider can be reached. The address is a new one each time, so that neither a cache nor a
    /// service worker or CDN in front of it has a response to it.
    pub(super) fn send_probe(&self, ctx: &mut Context, purpose: Purpose) -> OpId {
        let nonce = base64url::encode(&ctx.random::<12>());
        // control: probe_bypasses_caches
        let url = with_query(&self.metadata_url, &nonce);
        ctx.get(purpose, url)
    }

    /// Reads the metadata. Returns `None` if the metadata is not at this URL and was requested from another URL.
    pub(super) fn on_metadata(
        &mut self,
        ctx: &mut Context,
        outcome: &Outcome,
    ) -> Option<Result<()>> {
        let issuer = &ctx.config.issuer;
        if metadata::is_absent(outcome) {
            let url = metadata::alternative_url(issuer, &self.metadata_url);
            let was_first = url != metadata::discovery_url(issuer);
            self.metadata_url = url;
            if was_first {
                self.need_metadata(ctx);
                return None;
            }
        }
        let url = &self.metadata_url;
        let members = ctx.config.metadata_members();
        let metadata = metadata::read_document(outcome, msg!("discovery document"), url, SILENT)
            .and_then(|text| Metadata::parse_with(members, text, issuer));
        Some(metadata.map(|metadata| {
            ctx.config.rules.forbid(&metadata.endpoints());
            self.metadata = Some(metadata);
        }))
    }

    /// Reads the keys.
    pub(super) fn on_keys(&mut self, outcome: &Outcome) -> Result<()> {
        let metadata = self.metadata.as_ref();
        let url = metadata.map_or("", |metadata| &metadata.jwks_uri);
        let keys =
            metadata::read_document(outcome, msg!("key set"), url, SILENT).and_then(Jwks::parse)?;
        self.keys = Some(keys);
        Ok(())
    }
}

fn fetch_once(ctx: &mut Context, purpose: Purpose, url: &str) {
    if !ctx.is_in_flight(purpose) {
        ctx.get(purpose, url.to_owned());
    }
}

/// Returns true if a probe brought the provider's metadata, or keys.
pub(super) fn is_reachable(ctx: &Context, probe: &Outcome) -> bool {
    let members = ctx.config.metadata_members();
    metadata::read_document(probe, "", "", "").is_ok_and(|text| {
        Metadata::parse_with(members, text, &ctx.config.issuer).is_ok()
            || HAS_METADATA && Jwks::parse(text).is_ok()
    })
}
