//! Access to the provider: its metadata and keys, and requests that the client authenticates.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::base::error::{Code, Error, Result};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::base64url;
use crate::codec::form::{Form, encoded};
use crate::codec::json::Writer;
use crate::codec::url::Url;
use crate::edge::config::ClientAuth;
use crate::edge::io::{Effect, Reply};
use crate::edge::session::Session;
use crate::edge::task::{Task, boxed};
use crate::oauth::id_token::{Expected, IdToken, Occasion, Rejected, Unverified};
use crate::oauth::jwks::{Algorithm, Jwk, Jwks, SelectError};
use crate::oauth::metadata::{self, Metadata};
use crate::oauth::token_endpoint::{self, TokenSet};

/// The shortest age of the key set at which a token with an unknown key causes a new fetch. Anybody can send such
/// tokens.
const KEYS_MIN_AGE: Millis = Millis::from_secs(30);

/// The age at which the key set is fetched again, so a withdrawn key is no longer trusted.
const KEYS_MAX_AGE: Millis = Millis::from_secs(3600);

/// The lifetime of a client assertion.
const ASSERTION_SECONDS: u64 = 60;

/// Most attempts of a revocation.
const REVOCATIONS: u32 = 2;

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

    fn is_on_origin_of(&self, url: &Url) -> bool {
        self.urls.iter().any(|known| known.is_same_origin(url))
    }
}

impl Task {
    /// Returns true if a URL is on a known origin of the provider.
    pub(super) fn is_on_provider_origin(&self, url: &Url) -> bool {
        self.isolate().provider.borrow().is_on_origin_of(url)
    }

    /// Returns the provider's metadata. It is fetched on first use.
    pub(super) async fn metadata(&self) -> Result<Rc<Metadata>> {
        if let Some(metadata) = &self.isolate().provider.borrow().metadata {
            return Ok(metadata.clone());
        }
        let issuer = &self.config().flow.issuer;
        let usual = metadata::discovery_url(issuer);
        let mut url = usual.clone();
        let text = loop {
            match self.document(msg!("discovery document"), &url).await {
                Err(error) if error.code() == Code::MetadataInvalid && url == usual => {
                    url = metadata::alternative_url(issuer, &usual);
                }
                document => break document?,
            }
        };
        let members = self.config().flow.metadata_members.as_ref();
        let metadata = Metadata::parse_with(members, text.expose(), issuer)?;
        let metadata: Rc<Metadata> = metadata.into();
        self.isolate()
            .provider
            .borrow_mut()
            .set_metadata(metadata.clone());
        Ok(metadata)
    }

    /// Returns the provider's keys. They are fetched again if `is_stale`, unless they were fetched a moment ago.
    async fn keys(&self, is_stale: bool) -> Result<Rc<Jwks>> {
        if let Some((keys, fetched)) = &mut self.isolate().provider.borrow_mut().keys {
            let age = fetched.elapsed(&self.now());
            if age < KEYS_MIN_AGE || !is_stale && age < KEYS_MAX_AGE {
                return Ok(keys.clone());
            }
            // Set the time before the request, so tokens with unknown keys do not cause a request each if it fails.
            *fetched = self.now();
        }
        let metadata = self.metadata().await?;
        let text = self.document(msg!("key set"), &metadata.jwks_uri).await?;
        let keys = Rc::new(Jwks::parse(text.expose())?);
        self.isolate().provider.borrow_mut().keys = Some((keys.clone(), self.now()));
        Ok(keys)
    }

    /// Returns the key with this ID for this algorithm.
    async fn key(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<String> {
        for is_stale in [false, true] {
            let keys = self.keys(is_stale).await?;
            match keys.select(algorithm, kid) {
                Ok(key) => return Ok(Jwk::public_json(key).to_owned()),
                Err(SelectError::Ambiguous) => break,
                Err(SelectError::Unknown) => {}
            }
        }
        Err(Error::new(
            Code::IdTokenInvalid,
            msg!("the provider's key set has no unique key for the token's signature"),
        ))
    }

    async fn document(&self, what: &str, url: &str) -> Result<Secret> {
        let request = HttpRequest {
            url: url.to_owned(),
            form: None,
            keepalive: false,
            proof: None,
        };
        let outcome = self.send(request, None, None).await;
        metadata::read_document(&outcome, what, url, msg!("no answer")).map(Secret::from)
    }

    async fn send(
        &self,
        request: HttpRequest,
        authorization: Option<Secret>,
        proof: Option<Secret>,
    ) -> Outcome {
        let timeout = self.config().flow.request_timeout;
        let effect = Effect::Send {
            request,
            authorization,
            proof,
            timeout,
        };
        let mut reply = self.perform(effect).await;
        while matches!(reply, Reply::Pending) {
            boxed(self.renew_lease()).await;
            reply = self.perform(Effect::Await).await;
        }
        match reply {
            Reply::Sent(outcome) => outcome,
            _ => Outcome::Failed,
        }
    }

    /// Sends a request with the client's authentication and this DPoP proof.
    pub(super) async fn send_as_client(
        &self,
        mut request: HttpRequest,
        proof: Option<Secret>,
    ) -> Outcome {
        let client = &self.config().client;
        let mut more = Form::new();
        let mut authorization = None;
        match &client.auth {
            ClientAuth::None => {}
            // RFC 6749 2.3.1: both are form-encoded before they become user name and password.
            ClientAuth::Basic(secret) => {
                let pair = [&encoded(&client.id), ":", &encoded(secret.expose())].concat();
                let pair = Secret::new(base64url::encode_plain(pair.as_bytes()));
                authorization = Some(Secret::new(["Basic ", pair.expose()].concat()));
            }
            ClientAuth::Post(secret) => {
                more.push("client_secret", secret.expose());
            }
            ClientAuth::PrivateKey {
                jwk,
                kid,
                algorithm,
            } => {
                let assertion = self.assertion(jwk, kid.as_deref(), *algorithm).await;
                let Some(assertion) = assertion else {
                    self.fault_of(
                        Code::ConfigInvalid,
                        &[msg!(
                            "client.auth.key cannot sign with the algorithm that is set"
                        )],
                    );
                    return Outcome::Failed;
                };
                more.push(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .push("client_assertion", assertion.expose());
            }
        }
        if let Some(form) = &request.form {
            let more = Secret::new(more.finish());
            if !more.expose().is_empty() {
                request.form = Some(Secret::new([form.expose(), "&", more.expose()].concat()));
            }
        }
        self.send(request, authorization, proof).await
    }

    /// Creates the assertion for `private_key_jwt` (RFC 7523 3). Its only audience is the issuer, and its `typ` states
    /// its purpose (RFC 10070), so it is not accepted elsewhere.
    async fn assertion(
        &self,
        jwk: &Secret,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Secret> {
        let now = self.now().wall / 1000;
        let id = &self.config().client.id;
        let header = Writer::object()
            .text("alg", algorithm.name())
            .text("typ", "client-authentication+jwt")
            .optional_text("kid", kid)
            .finish();
        let claims = Writer::object()
            .text("iss", id)
            .text("sub", id)
            .text("aud", &self.config().flow.issuer)
            .text("jti", &base64url::encode(&self.isolate().random::<16>()))
            .number("iat", now)
            .number("exp", now + ASSERTION_SECONDS)
            .finish();
        let [header, claims] = [header, claims].map(|part| base64url::encode(part.as_bytes()));
        let input = Secret::new([&header, ".", &claims].concat());
        let effect = Effect::Sign {
            algorithm,
            jwk: jwk.clone(),
            signing_input: input.clone(),
        };
        match self.perform(effect).await {
            Reply::Signed(signature) => {
                let signature = base64url::encode(&signature);
                Some(Secret::new([input.expose(), ".", &signature].concat()))
            }
            _ => None,
        }
    }

    /// Loads the provider's metadata and keys. Only missing metadata is an error.
    pub(super) async fn load_provider(&self) -> Result<()> {
        self.metadata().await?;
        let _ = self.keys(false).await;
        Ok(())
    }

    /// Sends a session's refresh token.
    pub(super) async fn send_refresh(&self, session: &Session) -> Result<Outcome> {
        let metadata = self.metadata().await?;
        let Some(refresh_token) = &session.refresh_token else {
            return Ok(Outcome::Failed);
        };
        let client_id = &self.config().client.id;
        let request =
            token_endpoint::refresh_request(&metadata.token_endpoint, client_id, refresh_token);
        Ok(self.send_proven(request, session.key.as_ref()).await)
    }

    /// Revokes a session's refresh token (RFC 7009), if the provider has an endpoint for that. Returns true if the
    /// provider has confirmed it. The session is over either way.
    pub(super) async fn revoke(&self, session: &Session) -> bool {
        let Some(refresh_token) = &session.refresh_token else {
            return false;
        };
        let Ok(metadata) = self.metadata().await else {
            return false;
        };
        let Some(endpoint) = &metadata.revocation_endpoint else {
            return self.not_revoked(msg!("it announces no revocation_endpoint"));
        };
        for _ in 0..REVOCATIONS {
            let client_id = &self.config().client.id;
            let request = token_endpoint::revocation_request(endpoint, client_id, refresh_token);
            match self.send_as_client(request, None).await {
                Outcome::Reply(reply) if reply.status == 200 => return true,
                Outcome::Reply(reply) if reply.status < 500 => break,
                _ => {}
            }
        }
        self.not_revoked(msg!("it refused or failed"))
    }

    fn not_revoked(&self, why: &str) -> bool {
        self.fault_of(
            Code::ProviderUnavailable,
            &[msg!("the provider did not revoke a refresh token: "), why],
        );
        false
    }

    /// Verifies the ID token of a token response: its signature, and every claim.
    pub(super) async fn verify_id_token(
        &self,
        tokens: &TokenSet,
        occasion: Occasion<'_>,
    ) -> core::result::Result<IdToken, Rejected> {
        let Some(id_token) = &tokens.id_token else {
            let message = msg!("the token endpoint answered without an ID token");
            return Err(Error::new(Code::TokenResponseInvalid, message).into());
        };
        let metadata = self.metadata().await?;
        let fixed = self.config().flow.id_token_alg();
        let allowed = match fixed {
            Some(algorithm) => core::slice::from_ref(algorithm),
            None => &metadata.id_token_signing_algorithms,
        };
        let unverified = Unverified::parse(id_token.expose(), allowed)?;
        let jwk = self.key(unverified.algorithm(), unverified.kid()).await?;
        let is_valid = self
            .verify_signature(
                unverified.algorithm(),
                jwk,
                unverified.signing_input(),
                unverified.signature(),
            )
            .await;
        let config = &self.config().flow;
        let expected = Expected {
            issuer: &config.issuer,
            client_id: &config.client_id,
            trusted_audiences: config.trusted_audiences(),
            now_seconds: self.now().wall / 1000,
            tolerance_seconds: config.clock_tolerance.as_secs(),
            access_token: &tokens.access_token,
            occasion,
        };
        unverified.signature_checked(is_valid, &expected)
    }

    async fn verify_signature(
        &self,
        algorithm: Algorithm,
        jwk: String,
        signing_input: &str,
        signature: &[u8],
    ) -> bool {
        let effect = Effect::Verify {
            algorithm,
            jwk,
            signing_input: signing_input.to_owned(),
            signature: signature.to_vec(),
        };
        matches!(self.perform(effect).await, Reply::Verified(true))
    }

    /// Returns true if refreshed tokens are the same user's. An absent or invalid ID token does not count as another
    /// user's (OIDC Core 12.2).
    pub(super) async fn is_same_user(&self, session: &Session, tokens: &TokenSet) -> bool {
        let Some(original) = session.id_token().filter(|_| tokens.id_token.is_some()) else {
            return true;
        };
        let occasion = Occasion::Refresh {
            original: &original,
        };
        match self.verify_id_token(tokens, occasion).await {
            Ok(_) => true,
            Err(Rejected::OtherUser(_)) => false,
            Err(Rejected::Invalid(error)) => {
                self.fault(&error);
                true
            }
        }
    }

    /// Verifies the signature of a token other than an ID token. Its claims remain unchecked.
    pub(super) async fn check_provider_signature(
        &self,
        jwt: &crate::oauth::jwt::Jwt,
    ) -> Result<()> {
        let metadata = self.metadata().await?;
        let fixed = self.config().flow.id_token_alg();
        let algorithm = Algorithm::from_name(jwt.alg()).filter(|algorithm| match fixed {
            Some(fixed) => fixed == algorithm,
            None => metadata.id_token_signing_algorithms.contains(algorithm),
        });
        let Some(algorithm) = algorithm else {
            return Err(Error::new(
                Code::LogoutTokenInvalid,
                msg!("its alg is not allowed for this provider"),
            ));
        };
        let jwk = self.key(algorithm, jwt.kid()).await?;
        if self
            .verify_signature(algorithm, jwk, jwt.signing_input(), jwt.signature())
            .await
        {
            Ok(())
        } else {
            Err(Error::new(
                Code::LogoutTokenInvalid,
                msg!("its signature does not verify with the issuer's key"),
            ))
        }
    }
}
