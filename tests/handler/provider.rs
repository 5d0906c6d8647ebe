//! The provider of `kit`, configured for the handler's client, with a record of its requests.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use edge::Config;
use kit::world::Endpoint;
use kit::world::provider::{self, form_of};
use rules::Secret;
use rules::base::http::{HttpReply, HttpRequest, Outcome};

use crate::crypto::object;
pub(crate) use kit::reply::json;
pub(crate) use kit::world::provider::{ISSUER, params};

/// A request as it arrived at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) authorization: Option<String>,
    pub(crate) proof: Option<String>,
}

pub(crate) struct Provider {
    server: provider::Provider,
    pub(crate) requests: Vec<Arrived>,
    /// The next responses, each with a path, in place of the provider's own. `None` means that no response arrives.
    pub(crate) replies: VecDeque<(&'static str, Option<HttpReply>)>,
}

impl Provider {
    pub(crate) fn new(config: &Config) -> Self {
        let mut server = provider::Provider::new();
        server.client_id.clone_from(&config.flow.client_id);
        "ann".clone_into(&mut server.subject);
        server.takes_any_redirect_uri = true;
        server.name = None;
        server.sid = Some(|user, _| format!("op-session-{user}"));
        server.lifetime = Duration::from_secs(600);
        server.leeway = Duration::MAX;
        server.takes_pushed = true;
        server.announces_iss = false;
        server.id_token_on_refresh = false;
        r#","id_token_signing_alg_values_supported":["ES256"]"#
            .clone_into(&mut server.more_metadata);
        server.adapt_to(&config.flow);
        Self {
            server,
            requests: Vec::new(),
            replies: VecDeque::new(),
        }
    }

    /// Returns the parameters of an authorization request, whether or not the request was pushed.
    pub(crate) fn parameters(&self, url: &str) -> BTreeMap<String, String> {
        let (endpoint, query) = url.split_once('?').unwrap();
        assert_eq!(endpoint, format!("{ISSUER}/authorize"));
        let params = params(query);
        match params.get("request_uri") {
            Some(uri) => self::params(&self.pushed[uri]),
            None => params,
        }
    }

    pub(crate) fn reply(
        &mut self,
        request: HttpRequest,
        authorization: Option<String>,
        proof: Option<&str>,
        now: u64,
    ) -> Outcome {
        assert!(
            request.proof.is_none(),
            "a proof is signed before it is sent"
        );
        let scheme_and_token = authorization.as_ref().and_then(|text| text.split_once(' '));
        let token = scheme_and_token.filter(|_| request.form.is_none());
        if let Some((scheme, _)) = token {
            assert_eq!(scheme == "DPoP", proof.is_some());
        }
        let request = HttpRequest {
            access_token: token.map(|(_, token)| Secret::from(token)),
            ..request
        };
        let path = request.url.strip_prefix(ISSUER).unwrap().to_owned();
        self.requests.push(Arrived {
            endpoint: self.endpoint_of(&request),
            path: path.clone(),
            params: form_of(&request),
            authorization,
            proof: proof.map(str::to_owned),
        });
        if let Some(place) = self.replies.iter().position(|(of, _)| *of == path) {
            let reply = self.replies.remove(place).unwrap().1;
            return reply.map_or(Outcome::Failed, Outcome::from);
        }
        // The metadata is only at the URL of OpenID Connect Discovery.
        if path == "/.well-known/oauth-authorization-server" {
            return Outcome::from(json(404, ""));
        }
        let outcome = self.server.respond(now, &request, proof);
        outcome.unwrap_or(Outcome::Failed)
    }

    /// Sets the claims that ID tokens have in addition, or with another value, from now on.
    pub(crate) fn state(&mut self, members: &str) {
        self.more_claims = object(&["{", members, "}"].concat());
    }

    pub(crate) fn set_lifetime(&mut self, seconds: u64) {
        self.lifetime = Duration::from_secs(seconds);
    }

    /// Rotates the signing key: from now on, ID tokens name the new key, which alone is published.
    pub(crate) fn rotate_key(&mut self) {
        self.signing_key = 1;
        self.published_keys = vec![1];
    }

    /// Returns the requests to this path.
    pub(crate) fn sent_to(&self, path: &str) -> Vec<&Arrived> {
        self.requests.iter().filter(|r| r.path == path).collect()
    }

    /// Returns the requests to this endpoint.
    pub(crate) fn of(&self, endpoint: Endpoint) -> impl Iterator<Item = &Arrived> {
        let requests = self.requests.iter();
        requests.filter(move |request| request.endpoint == endpoint)
    }

    /// Returns the access tokens so far.
    pub(crate) fn access_tokens(&self) -> Vec<&str> {
        let issued = self.issued.iter().map(String::as_str);
        issued
            .filter(|token| token.starts_with("access-token-"))
            .collect()
    }
}

impl Deref for Provider {
    type Target = provider::Provider;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

impl DerefMut for Provider {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.server
    }
}
