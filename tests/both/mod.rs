//! Behaviors that the vault and the token handler share. The tests of each machine include this folder, and run every
//! test of it with their own [`Machine`](crate::client::Machine).

use std::collections::BTreeMap;

use kit::flaws;
use kit::world::provider::Provider;
use kit::world::{Endpoint, Fault, Flaw};
use rules::codec::json::{Object, Value};

mod dpop;
mod expired_at_provider;
pub(crate) mod flawed_responses;
mod granted_scopes;
mod login;
mod plain_oauth;
mod profile_address;
mod refresh;
mod refresh_expiry;
mod repeated_requests;
mod resource;
mod same_claims;
pub(crate) mod session_expiry;
mod user_info;

/// Why a login failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What follows a response to a login that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The user is signed in, and comes to this place of the app.
    SignedIn(String),
    /// The user goes to the provider again, at this URL.
    Again(String),
}

/// A vault or a token handler, with the provider, an API and one user.
pub(crate) trait Client: Sized {
    /// The configurations of the places where a session can be.
    const STORAGES: [&'static str; 2];

    /// The code with which the first call after a session's expiry is rejected: the vault has noticed the expiry before,
    /// and the handler notices it by this call.
    const AFTER_EXPIRY: &'static str;

    /// The warnings about an ID token of a refresh that is ignored. No page learns of it.
    const IGNORED_ID_TOKEN: &'static [&'static str];

    /// Creates a machine whose configuration has these members in addition.
    fn with(config: &str) -> Self;

    /// Returns the provider. With a stored session, the world of the vault expects the name `0`.
    fn provider(&mut self) -> &mut Provider;

    /// Begins a login with these options, as JSON members of the vault's message. Returns the URL of the authorization
    /// request.
    fn begin_login(&mut self, options: &str) -> Result<String, Failure>;

    /// Returns the parameters of an authorization request.
    fn parameters(&self, url: &str) -> BTreeMap<String, String>;

    /// Handles a response to a login.
    fn arrive(&mut self, response: &str) -> Result<Arrived, Failure>;

    /// Lets the page end the session.
    fn log_out(&mut self);

    /// Calls the API. Returns the status of the API's response, or the code with which the machine rejects the call.
    fn call(&mut self) -> Result<u16, String>;

    /// Returns the session that a page sees, if any.
    fn session(&mut self) -> Option<Object>;

    /// Returns the reason for the session's end that a page gets, if any.
    fn reason(&mut self) -> Option<String>;

    /// Returns the codes of the warnings so far. A page gets those of the vault, the operator those of the handler.
    fn warnings(&self) -> Vec<String>;

    /// Lets this many seconds pass.
    fn pass(&mut self, seconds: u64);

    /// Returns the time by the provider's clock, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// Replaces the worker or the isolate, unless a session is only in its memory.
    fn restart(&mut self);

    /// Replaces the worker or the isolate by one with this configuration.
    fn reconfigure(&mut self, config: &str);

    /// Returns the number of requests to this endpoint.
    fn count(&self, endpoint: Endpoint) -> usize;

    /// Returns the refresh tokens in the provider's refresh requests, in order.
    fn refresh_tokens_sent(&self) -> Vec<String>;

    /// Returns the `Authorization` of each request that the API received, in order.
    fn seen_by_api(&self) -> Vec<String>;

    /// Tells the checks of the world that claims of ID tokens may limit the session.
    fn accept_stated_ends(&mut self) {}

    /// Lets the provider sign the user in. Returns the URL of its response.
    fn authorize(&mut self, url: &str) -> String {
        self.provider().sign_in(url)
    }

    /// Returns the lifetime of access tokens, in seconds.
    fn lifetime(&mut self) -> u64 {
        self.provider().lifetime.as_secs()
    }

    /// Lets the next request to this endpoint have this fault.
    fn fault(&mut self, endpoint: Endpoint, fault: Fault) {
        self.provider().fault(endpoint, &[fault]);
    }

    /// Adds this claim to the provider's ID tokens, and an ID token to its responses to refreshes.
    fn state(&mut self, claim: &'static str, value: Value) {
        let provider = self.provider();
        provider.flaw = Some(Flaw::Claim(claim, value));
        provider.id_token_on_refresh = true;
        if claim == "session_expiry" {
            self.accept_stated_ends();
        }
    }

    /// From now on, ID tokens have these claims, and responses to refreshes an ID token.
    fn id_token_claims(&mut self, claims: &str) {
        let provider = self.provider();
        provider.more_claims = object(claims);
        provider.id_token_on_refresh = true;
    }

    /// From now on, token responses have these members, and lack those that are null.
    fn token_members(&mut self, members: &str) {
        self.provider().more_members = object(members);
    }

    /// From now on, UserInfo or the profile address responds with these members besides the user's ID.
    fn profile(&mut self, members: &str) {
        self.provider().more_profile = object(members);
    }

    /// Returns true if the session's tokens are revoked.
    fn is_revoked(&mut self) -> bool {
        self.provider().has_revoked_everything()
    }

    /// Signs the user in, from the start to the end.
    fn sign_in(&mut self) -> Result<(), Failure> {
        self.sign_in_with("")
    }

    fn sign_in_with(&mut self, options: &str) -> Result<(), Failure> {
        let url = self.begin_login(options)?;
        let response = self.authorize(&url);
        self.arrive(&response).map(|_| ())
    }

    /// Creates a machine with a signed-in user.
    fn signed_in(config: &str) -> Self {
        let mut client = Self::with(config);
        assert_eq!(client.sign_in(), Ok(()), "{config}");
        client
    }

    fn expire_access_token(&mut self) {
        let lifetime = self.lifetime();
        self.pass(lifetime);
    }

    /// Returns the claims in the session that a page sees, as JSON.
    #[track_caller]
    fn claims(&mut self) -> String {
        self.member("claims")
    }

    /// Returns a member of the session that a page sees, as JSON.
    #[track_caller]
    fn member(&mut self, name: &str) -> String {
        let session = self.session().expect("there is a session");
        let mut text = String::new();
        session.get(name).unwrap().write(&mut text);
        text
    }

    /// Refreshes the session, which keeps these claims, and requests no other profile.
    #[track_caller]
    fn refresh_keeps(&mut self, claims: &str) {
        self.profile(r#"{"name": "Other"}"#);
        self.expire_access_token();
        assert_eq!(self.call(), Ok(200));
        assert_eq!(self.claims(), claims);
        assert_eq!(self.count(Endpoint::Profile), 1);
    }

    /// Signs in, which the user's profile prevents. Returns the error's message.
    #[track_caller]
    fn refused(&mut self) -> String {
        let failure = self.sign_in().unwrap_err();
        assert_eq!(failure.code, "profile_failed", "{failure:?}");
        assert!(self.session().is_none());
        assert!(self.is_revoked(), "the issued tokens are not left valid");
        failure.message
    }

    /// Returns a time of the session that a page sees, in milliseconds since 1970.
    fn time(&mut self, name: &str) -> u64 {
        let session = self.session().unwrap();
        session.get(name).and_then(Value::as_u64).unwrap()
    }
}

pub(crate) fn object(json: &str) -> Object {
    Value::parse(json).unwrap().as_object().unwrap().clone()
}

/// Returns a configuration with the members of both.
fn and(config: &str, more: &str) -> String {
    let mut both = object(config);
    for (name, value) in object(more).iter() {
        both.push(name, value.clone());
    }
    let mut text = String::new();
    both.write(&mut text);
    text
}

/// Returns the fault of a response with this flaw.
pub(crate) fn fault_of((name, text): flaws::Flaw) -> Fault {
    match name {
        "status" => Fault::AsStatus(text.parse().unwrap()),
        _ => Fault::Altered(name, text),
    }
}
