//! The provider's metadata and keys, which are fetched when they are first needed.
//!
//! If metadata or keys are missing, the part of the vault that needs them waits, and continues when they have arrived.
//! If the fetch fails, the waiting parts fail, continue without the metadata or keys, or wait for the next fetch. The
//! next part that needs the metadata or keys starts this fetch.

use crate::config::pinned::Pinned;
use crate::context::{Context, Purpose};
use crate::io::OpId;
use crate::pin::{Pin, Verdict};
use rules::base::error::{Code, Result};
use rules::base::http::Outcome;
use rules::codec::base64url;
use rules::codec::form::with_query;
use rules::codec::url;
use rules::oauth::jwks::Jwks;
use rules::oauth::metadata::{self, Metadata, Search};
use rules::prelude::*;
use rules::session::profile;

/// The error message, with likely reasons, if there is no response.
const SILENT: &str = msg!("no response (is it up, and does its CORS allow this origin?)");

/// The metadata and keys of the provider.
pub(super) struct Provider {
    pub(super) metadata: Option<Box<Metadata>>,
    /// The URL at which the metadata was found, which probes use. If the configuration contains the metadata, a
    /// metadata document may not exist, and this is the URL of the keys.
    pub(super) metadata_url: String,
    search: Search,
    pub(super) keys: Option<Jwks>,
    /// The purposes of requests that were repeated, and have not ended.
    repeated: Vec<Purpose>,
    pub(super) pin: Pin,
    /// True if the vault could read a response to a GET of the metadata, the keys or a probe. Some providers of plain OAuth
    /// never send one that it can read, and a gateway may block probes.
    has_readable_documents: bool,
    /// The number of probes since the last such response that could not be read.
    unread: u32,
}

/// The number of unreadable probes in a row after which a response of the token endpoint shows that probes are blocked.
const MAX_UNREAD: u32 = 3;

impl Provider {
    pub(super) fn new(issuer: &str, metadata: Option<Box<Metadata>>, pinned: Pinned) -> Self {
        let metadata_url = match &metadata {
            Some(metadata) if !metadata.jwks_uri.is_empty() => metadata.jwks_uri.clone(),
            _ => metadata::discovery_url(issuer),
        };
        Self {
            metadata: metadata.or_else(|| pinned.metadata.clone()),
            metadata_url,
            search: Search::default(),
            keys: None,
            repeated: Vec::new(),
            pin: Pin::new(pinned),
            has_readable_documents: false,
            unread: 0,
        }
    }
}

impl Provider {
    /// Returns the URL of the token endpoint, or of the metadata if the metadata is missing.
    pub(super) fn token_url(&self) -> &str {
        match &self.metadata {
            Some(metadata) => &metadata.token_endpoint,
            None => &self.metadata_url,
        }
    }

    /// Returns the address of the user's profile: see [`profile::address`].
    pub(super) fn profile_address(&self, ctx: &Context) -> Result<Option<String>> {
        match &self.metadata {
            Some(metadata) => profile::address(&ctx.config.flow, metadata),
            None => Ok(None),
        }
    }

    /// Returns true if the metadata is present. Otherwise starts to fetch it.
    pub(super) fn need_metadata(&self, ctx: &mut Context) -> bool {
        self.metadata.is_some() || self.fetch_metadata(ctx)
    }

    /// Returns true if the metadata is present, unless it is pinned and `pin_is_enough` returns false. Otherwise starts to
    /// fetch the provider's document.
    fn need_metadata_beyond_pin(
        &self,
        ctx: &mut Context,
        pin_is_enough: impl FnOnce(&Metadata) -> bool,
    ) -> bool {
        let is_enough = |metadata: &Metadata| !self.pin.is_in_use() || pin_is_enough(metadata);
        self.metadata.as_deref().is_some_and(is_enough) || self.fetch_metadata(ctx)
    }

    /// Returns true if the end of a session has to wait for metadata, which this function then starts to fetch: a vault that
    /// restored its session may have none, and pinned metadata may lack the endpoint that `has` looks for.
    pub(super) fn awaits_metadata_with(
        &self,
        ctx: &mut Context,
        has: impl FnOnce(&Metadata) -> bool,
    ) -> bool {
        let may_wait = ctx.stores_sessions() || self.pin.is_in_use();
        may_wait && !self.need_metadata_beyond_pin(ctx, has)
    }

    /// Returns true if the metadata is present and not provisional. Otherwise starts to fetch it. Pinned metadata is enough
    /// for a login on this device, unless it lacks an endpoint that the configuration asks for.
    pub(super) fn need_metadata_for_login(&self, ctx: &mut Context, is_device: bool) -> bool {
        if self.search.is_provisional {
            self.fetch_metadata(ctx);
            if !self.pin.is_in_use() {
                return false;
            }
        }
        let pushing = ctx.config.pushing;
        let may_be_enough = !is_device && self.profile_address(ctx).is_ok();
        self.need_metadata_beyond_pin(ctx, |metadata| {
            may_be_enough && pushing.is_possible(metadata)
        })
    }

    /// Returns true if the metadata is present. Otherwise starts to fetch it. Pinned metadata is not enough to refuse an
    /// authorization response without `iss`, or to conclude that the UserInfo endpoint is missing.
    pub(super) fn need_metadata_for_callback(&self, ctx: &mut Context, has_iss: bool) -> bool {
        let has_profile = self.profile_address(ctx).is_ok();
        self.need_metadata_beyond_pin(ctx, |metadata| {
            has_profile && (has_iss || !metadata.authorization_response_iss_parameter_supported)
        })
    }

    /// Decides if a response counts: see [`crate::pin`].
    pub(super) fn judge(
        &mut self,
        ctx: &mut Context,
        request: (OpId, Purpose),
        outcome: &Outcome,
    ) -> Verdict {
        let current = self.metadata.as_deref();
        let verdict = self.pin.judge(ctx, current, request, outcome);
        let is_lost = request.1 == Purpose::Refresh && matches!(outcome, Outcome::Failed);
        if matches!(verdict, Verdict::Held) || is_lost && self.pin.is_in_use() {
            self.fetch_metadata(ctx);
        }
        verdict
    }

    /// Requests the provider's document in the background, if pinned metadata is in use and pages are connected.
    pub(super) fn check_pin(&mut self, ctx: &mut Context) {
        if self.pin.begin_check(ctx) {
            self.fetch_metadata(ctx);
        }
    }

    /// Starts to fetch the metadata. Returns false.
    pub(super) fn fetch_metadata(&self, ctx: &mut Context) -> bool {
        let url = self.search.url(&ctx.config.flow.issuer);
        fetch_once(ctx, Purpose::Metadata, &url);
        false
    }

    /// Returns true if the keys are present, or there are no ID tokens. Otherwise starts to fetch the keys.
    pub(super) fn need_keys(&self, ctx: &mut Context) -> bool {
        let has_all = self.keys.is_some() || !ctx.config.flow.has_openid();
        if !has_all {
            self.fetch_keys(ctx);
        }
        has_all
    }

    /// Starts to fetch the keys, even if the vault already has some.
    pub(super) fn fetch_keys(&self, ctx: &mut Context) {
        if let Some(metadata) = &self.metadata {
            fetch_once(ctx, Purpose::Keys, &metadata.jwks_uri);
        }
    }

    /// Records the end of a request.
    pub(super) fn observe(&mut self, purpose: Purpose, outcome: &Outcome) {
        use Purpose::{Keys, Metadata, ProbeForLogin, ProveLine};
        let is_document = matches!(
            purpose,
            Metadata | Keys | Purpose::Probe | ProbeForLogin | ProveLine
        );
        match outcome {
            Outcome::Reply(_) if is_document => {
                (self.has_readable_documents, self.unread) = (true, 0);
            }
            // The token endpoint answers, so probes would only delay the next refresh.
            Outcome::Reply(_) if purpose == Purpose::Refresh => {
                self.has_readable_documents &= self.unread < MAX_UNREAD;
            }
            Outcome::Opaque if purpose == ProveLine => self.unread += 1,
            _ => {}
        }
    }

    /// Returns true if a probe can get a response that the vault can read.
    pub(super) const fn can_be_probed(&self) -> bool {
        self.has_readable_documents
    }

    /// Sends a request that shows if the provider can be reached. The URL contains a nonce, so that no cache, service
    /// worker or CDN can have a response to this request.
    pub(super) fn send_probe(&self, ctx: &mut Context, purpose: Purpose) -> OpId {
        let nonce = base64url::encode(&ctx.random::<12>());
        // control: probe_bypasses_caches
        let url = with_query(self.probe_url(), &nonce);
        ctx.get(purpose, url)
    }

    /// Returns the URL of the metadata or the keys. The one on the token endpoint's origin comes first, because the next
    /// request to the token endpoint can then use the same connection.
    fn probe_url(&self) -> &str {
        let is_near = |metadata: &&Metadata| {
            let token = url::origin(&metadata.token_endpoint);
            url::origin(&self.metadata_url) != token && url::origin(&metadata.jwks_uri) == token
        };
        match self.metadata.as_deref().filter(is_near) {
            Some(metadata) => &metadata.jwks_uri,
            None => &self.metadata_url,
        }
    }

    /// Repeats the request for the metadata or the keys once, if it failed for a reason that may be over already. Returns
    /// false if the request is not repeated.
    pub(super) fn repeats(
        &mut self,
        ctx: &mut Context,
        purpose: Purpose,
        outcome: &Outcome,
    ) -> bool {
        if let Some(i) = self.repeated.iter().position(|known| *known == purpose) {
            self.repeated.swap_remove(i);
            return false;
        }
        let is_metadata = purpose == Purpose::Metadata;
        // After the first location, the other ones are tried instead.
        let may_repeat = !is_metadata || self.search.is_at_start();
        if !may_repeat || !ctx.may_be_brief(outcome) {
            return false;
        }
        self.repeated.push(purpose);
        if is_metadata {
            self.fetch_metadata(ctx);
        } else {
            self.fetch_keys(ctx);
        }
        true
    }

    /// Handles the response with the metadata. Returns `None` if the metadata was not at this URL, and is now requested
    /// from another URL. After a timeout, or if the device is offline, another URL would not help.
    pub(super) fn on_metadata(
        &mut self,
        ctx: &mut Context,
        outcome: &Outcome,
    ) -> Option<Result<()>> {
        let expected = ctx.config.flow.expected_metadata();
        let url = self.search.url(expected.issuer);
        let may_continue = !matches!(outcome, Outcome::Failed);
        let found = self
            .search
            .read(outcome, &expected, &url, SILENT, may_continue);
        match found {
            None => {
                self.fetch_metadata(ctx);
                None
            }
            // A poorer document than usual must not replace the pin.
            Some(Ok(_)) if self.search.is_provisional && self.pin.is_in_use() => Some(Ok(())),
            Some(Ok(metadata)) => {
                ctx.config.rules.forbid(&metadata.endpoints());
                if let Some(flaws) = metadata.warning() {
                    let page = ctx.ports.last().copied();
                    ctx.warn_developer(page, &flaws);
                }
                if self.pin.replace(ctx, &metadata) {
                    self.keys = None;
                }
                self.metadata = Some(metadata);
                self.metadata_url = url;
                Some(Ok(()))
            }
            // Provisional or pinned metadata remains in use.
            Some(Err(error)) if self.metadata.is_some() => {
                if self.pin.is_in_use() && error.code() != Code::ProviderUnavailable {
                    ctx.warn_developer(ctx.ports.last().copied(), &error);
                }
                Some(Ok(()))
            }
            Some(Err(error)) => Some(Err(error)),
        }
    }

    /// Handles the response with the keys.
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

/// Returns true if the outcome shows that the provider is down: no response could be read, or it was a server error.
pub(super) fn is_down(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Reply(reply) if reply.status < 500)
}

/// Returns true if the response to a probe contains the provider's metadata or keys.
pub(super) fn is_reachable(ctx: &Context, probe: &Outcome) -> bool {
    metadata::read_document(probe, "", "", "").is_ok_and(|text| {
        Metadata::parse_expected(text, &ctx.config.flow.expected_metadata()).is_ok()
            || Jwks::parse(text).is_ok()
    })
}
