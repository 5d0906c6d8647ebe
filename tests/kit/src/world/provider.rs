//! An OpenID provider that behaves like a real one: it signs ID tokens, checks PKCE, rotates refresh tokens, and
//! revokes a family when it receives a consumed refresh token again after the leeway. Tests set the faults of later
//! requests.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::OnceLock;
use std::time::Duration;

use super::dpop::Checker;
use super::invariants::IdTokenFacts;
use crate::reply::{json, refusal};
use crate::signer::{self, SigningKey};
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::http::{HttpReply, HttpRequest, Outcome};
use rules::codec::base64url;
use rules::codec::form;
use rules::codec::json::{Object, Value};
use rules::codec::url::Url;
use rules::oauth::pkce;
use vault::ApiRequest;

pub const ISSUER: &str = "https://id.example.com";
pub const CLIENT_ID: &str = "spa";
/// Value of [`Provider::base`] for a provider whose endpoints have a common path.
pub const BASE: &str = "/oauth";
pub const REDIRECT_URI: &str = "https://app.example.com/callback";

/// Purposes of a request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    Discovery,
    /// The discovery document or the key set, with a query that no cache knows. The vault requests it to find out if
    /// the provider can be reached.
    Probe,
    Keys,
    Exchange,
    Refresh,
    Revoke,
    /// An API that says who the user is.
    Profile,
    Push,
    AskDevice,
    PollDevice,
}

/// Faults of one request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The request is lost.
    LostBefore,
    /// The provider acts on the request, and its response is lost.
    LostAfter,
    /// Nothing arrives, not even an error.
    Silence,
    /// Another server responds, such as a CDN with a 502, and CORS hides the response.
    Opaque,
    Status(u16),
    /// A status, with `Retry-After` in seconds if given.
    Busy(u16, Option<u64>),
    /// A captive portal responds instead of the provider.
    Html,
    /// The provider acts on the request, and half of its response arrives.
    Truncated,
    /// The provider acts on the request, and its response begins with a byte order mark.
    Marked,
    /// The provider acts on the request, and its response has very many additional members.
    Padded,
    /// The provider acts on the request, and the member of this name has this JSON text in its response.
    Altered(&'static str, &'static str),
    /// The provider acts on the request, and its response has this status.
    AsStatus(u16),
    /// An error response (RFC 6749 5.2).
    Refused(&'static str),
    /// `invalid_grant`, with this description.
    RefusedSaying(&'static str),
    /// This status, and this JSON body.
    Response(u16, &'static str),
    /// An error response that contains every value of the request.
    Echo,
    /// An error response whose error code is the code or token from the request.
    EchoAsCode,
}

/// A provider's response to a refresh token that is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusing {
    /// `invalid_grant`.
    Plainly,
    /// 400 with an empty body.
    Empty,
    /// 401 with an HTML page.
    Unauthorized,
    /// `invalid_request`.
    InvalidRequest,
    /// `invalid_grant`, hidden by CORS.
    Hidden,
}

/// Flaws of the next ID tokens.
#[derive(Clone, Debug)]
pub enum Flaw {
    /// The signature is made with a different key than the one that the header names.
    Signature,
    /// The header names a key that is not published.
    UnknownKey,
    /// A claim has another value.
    Claim(&'static str, Value),
    /// The ID token is missing.
    Missing,
}

/// A user's session with this client: all tokens that descend from one authorization code or device code.
struct Family {
    subject: String,
    claims: Object,
    nonce: String,
    /// The time of the login in milliseconds.
    login_at: u64,
    access_token: String,
    refresh_token: Option<String>,
    consumed: Vec<(String, u64)>,
    is_revoked: bool,
    /// The thumbprint of the key to which the family's tokens are bound.
    jkt: Option<String>,
    /// The newest access token for each resource.
    of_resources: BTreeMap<String, String>,
}

/// A login on another device (RFC 8628).
struct DeviceLogin {
    user_code: String,
    /// The resources that the request named.
    resources: Vec<String>,
    progress: DeviceProgress,
}

enum DeviceProgress {
    Pending,
    SignedIn,
    /// The user or the provider has refused, with this error code.
    Refused(String),
}

/// The grant that the user gave at the authorization endpoint.
struct Consent {
    challenge: String,
    claims: Object,
    nonce: String,
    subject: String,
    jkt: Option<String>,
}

pub struct Provider {
    pub issuer: String,
    pub client_id: String,
    pub redirect_uri: String,
    /// True if each redirect URI is allowed, for instance one with another port on loopback (RFC 8252 7.3).
    pub takes_any_redirect_uri: bool,
    /// True for a server without OpenID Connect. Its token responses identify the user by `sub_member`.
    pub is_plain: bool,
    /// The name of the member that identifies the user, without OpenID Connect. An empty name stands for no member.
    pub sub_member: String,
    /// The profile address, if it identifies the user instead of token responses.
    pub profile_url: Option<String>,
    /// The profile address that the provider has left, and that responds with 404.
    pub old_profile_url: Option<String>,
    /// Members that token responses have in addition, or with another value. The value `null` removes a member.
    pub more_members: Object,
    /// Members of profiles besides the one that identifies the user.
    pub more_profile: Object,
    /// The profile address's requirements for proofs.
    pub profile_proofs: Checker,
    /// The user who signs in.
    pub subject: String,
    /// Lifetime of access tokens, as in `expires_in`.
    pub lifetime: Duration,
    /// True if the provider issues refresh tokens.
    pub issues_refresh_tokens: bool,
    /// True if a consumed refresh token that arrives within the leeway gets the same successor again. Otherwise it gets a
    /// new one.
    pub repeats_successors: bool,
    /// The end of each code and each refresh token. The default has characters that JSON or forms encode.
    pub ending: String,
    /// A string at the end of each access token and refresh token.
    pub padding: String,
    pub rotates: bool,
    pub refusing: Refusing,
    /// Families whose refresh token the provider has rejected, for instance because of its key.
    refused: BTreeSet<usize>,
    /// Families for which a captive portal has answered a revocation in the place of the provider.
    pub(super) answered_by_portal: BTreeSet<usize>,
    /// True if the metadata says that authorization responses have `iss`.
    pub announces_iss: bool,
    /// True if the metadata has the revocation endpoint.
    pub announces_revocation: bool,
    /// After the use of a refresh token, the time during which the provider accepts the token again.
    pub leeway: Duration,
    /// The API's response to calls of `/demanding`: a status and `WWW-Authenticate`.
    pub api_demands: Option<(u16, &'static str)>,
    /// True if users can sign in on another device.
    pub knows_devices: bool,
    /// Logins on other devices, by device code.
    devices: BTreeMap<String, DeviceLogin>,
    /// Number of device codes that were issued.
    device_codes: u32,
    /// True if authorization requests can be pushed.
    pub takes_pushed: bool,
    pub wants_pushed: bool,
    /// Pushed requests, by their references.
    pub pushed: BTreeMap<String, String>,
    references: u32,
    /// The common path of the endpoints, except for the discovery document.
    pub base: &'static str,
    /// What responds at the endpoints without this path, if the provider has moved.
    pub left: Option<Fault>,
    /// Additional JSON members of the metadata, each preceded by a comma.
    pub more_metadata: String,
    /// The `scope` member of token responses.
    pub scope: Option<&'static str>,
    /// True if CORS exposes the `Date` header.
    pub tells_time: bool,
    /// Errors of the `Date` header in milliseconds, by endpoint. Responses of other endpoints have the correct date if
    /// `tells_time` is true, and otherwise no date.
    pub dates_off: BTreeMap<Endpoint, i64>,
    /// More claims of the user who signs in.
    pub claims: Object,
    /// The `name` claim of ID tokens.
    pub name: Option<&'static str>,
    /// True if the `name` claim is the family's number, so that pages can distinguish sessions.
    pub names_families: bool,
    /// The `sid` claim of ID tokens, by user and number of the family.
    pub sid: Option<fn(&str, usize) -> String>,
    /// Claims that ID tokens have from now on, in addition or with another value.
    pub more_claims: Object,
    /// The header of ID tokens, if it is not the usual one.
    pub header: Option<&'static str>,
    /// True if a refresh returns an ID token.
    pub id_token_on_refresh: bool,
    /// True if the response to a refresh for a resource has an ID token, too.
    pub id_token_for_resources: bool,
    pub flaw: Option<Flaw>,
    /// True if a claim that `sameClaims` names has another value in the next ID tokens of refreshes.
    pub changes_claims: bool,
    /// The number of the signing key: 0 or 1.
    pub signing_key: usize,
    /// The keys in the key set.
    pub published_keys: Vec<usize>,
    /// Number of families that were revoked because a consumed refresh token was received after the leeway.
    pub reuses: u32,
    /// The DPoP requirements (RFC 9449).
    pub dpop: Checker,
    /// True for a provider without DPoP, which issues Bearer tokens for any request.
    pub ignores_dpop: bool,
    /// The resources that the provider knows (RFC 8707), besides that of logins.
    pub resources: Vec<&'static str>,
    /// The resource of logins, for which an API without a resource of its own wants tokens.
    pub login_resource: Option<String>,
    /// The parameters `resource`, `audience` and `scope` of each refresh request.
    pub asked_for: Vec<[Option<String>; 3]>,
    /// Issued secrets that the witness does not know yet.
    pub issued: Vec<String>,
    /// The bytes of all URLs and bodies that have arrived.
    pub bytes: usize,
    faults: HashMap<Endpoint, VecDeque<Fault>>,
    outages: HashMap<Endpoint, Fault>,
    consents: HashMap<String, Consent>,
    families: Vec<Family>,
    /// The family and expiry of each access token.
    access_tokens: HashMap<String, (usize, u64)>,
    /// The resource of each access token.
    meant_for: HashMap<String, String>,
    /// The family of each refresh token, redeemed code and redeemed device code.
    family_of: HashMap<String, usize>,
    /// The key and signature of each signed string.
    signed: HashMap<String, (usize, Vec<u8>)>,
    last_id_token: String,
    /// ID tokens, by their signing inputs.
    id_tokens: HashMap<String, IdTokenFacts>,
    count: u64,
}

impl Provider {
    pub fn new() -> Self {
        Self {
            issuer: ISSUER.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            redirect_uri: REDIRECT_URI.to_owned(),
            takes_any_redirect_uri: false,
            is_plain: false,
            sub_member: "user_id".to_owned(),
            profile_url: None,
            old_profile_url: None,
            more_members: Object::new(),
            more_profile: Object::new(),
            profile_proofs: Checker::default(),
            subject: "alice".to_owned(),
            lifetime: Duration::from_secs(300),
            issues_refresh_tokens: true,
            repeats_successors: false,
            ending: r#" |:)\"+%20&=~ "#.to_owned(),
            padding: String::new(),
            rotates: true,
            refusing: Refusing::Plainly,
            refused: BTreeSet::new(),
            answered_by_portal: BTreeSet::new(),
            announces_iss: true,
            announces_revocation: true,
            leeway: Duration::ZERO,
            api_demands: None,
            knows_devices: false,
            devices: BTreeMap::new(),
            device_codes: 0,
            takes_pushed: false,
            wants_pushed: false,
            pushed: BTreeMap::new(),
            references: 0,
            base: "",
            left: None,
            more_metadata: String::new(),
            scope: None,
            tells_time: false,
            dates_off: BTreeMap::new(),
            claims: Object::new(),
            name: Some("Alice"),
            names_families: false,
            sid: None,
            more_claims: Object::new(),
            header: None,
            id_token_on_refresh: true,
            id_token_for_resources: false,
            flaw: None,
            changes_claims: false,
            signing_key: 0,
            published_keys: vec![0],
            reuses: 0,
            dpop: Checker::default(),
            ignores_dpop: false,
            resources: Vec::new(),
            login_resource: None,
            asked_for: Vec::new(),
            issued: Vec::new(),
            bytes: 0,
            faults: HashMap::new(),
            outages: HashMap::new(),
            consents: HashMap::new(),
            families: Vec::new(),
            access_tokens: HashMap::new(),
            meant_for: HashMap::new(),
            family_of: HashMap::new(),
            signed: HashMap::new(),
            last_id_token: String::new(),
            id_tokens: HashMap::new(),
            count: 0,
        }
    }

    /// Sets the faults of the next requests to `endpoint`, one each.
    pub fn fault(&mut self, endpoint: Endpoint, faults: &[Fault]) {
        let queue = self.faults.entry(endpoint).or_default();
        queue.extend(faults.iter().copied());
    }

    /// Sets a fault for all requests to `endpoint` until [`Self::repair`].
    pub fn outage(&mut self, endpoint: Endpoint, fault: Fault) {
        self.outages.insert(endpoint, fault);
    }

    /// Ends the outage of `endpoint`.
    pub fn repair_one(&mut self, endpoint: Endpoint) {
        self.outages.remove(&endpoint);
    }

    /// Removes all faults and ends all outages.
    pub fn repair(&mut self) {
        self.outages.clear();
        self.faults.clear();
    }

    /// Signs the user in at the URL of an authorization request. Returns the URL of the redirect back.
    pub fn sign_in(&mut self, url: &str) -> String {
        let (_, query) = url.split_once('?').unwrap();
        let mut params = params(query);
        assert!(!self.wants_pushed || params.contains_key("request_uri"));
        if let Some(reference) = params.get("request_uri") {
            assert_eq!(params["client_id"], self.client_id);
            let pushed = self.pushed.remove(reference);
            params = self::params(&pushed.expect("each request_uri is used for one login"));
        }
        assert_eq!(params["client_id"], self.client_id);
        if self.takes_any_redirect_uri {
            self.redirect_uri.clone_from(&params["redirect_uri"]);
        }
        assert_eq!(params["redirect_uri"], self.redirect_uri);
        assert_eq!(params["response_type"], "code");
        assert_eq!(params["code_challenge_method"], "S256");
        for of_openid in ["nonce", "max_age", "id_token_hint", "claims"] {
            let is_forbidden = self.is_plain && params.contains_key(of_openid);
            assert!(!is_forbidden, "{of_openid}");
        }
        assert_eq!(params.contains_key("nonce"), !self.is_plain);
        let code = self.secret("code");
        let consent = Consent {
            challenge: params["code_challenge"].clone(),
            nonce: params.get("nonce").cloned().unwrap_or_default(),
            subject: self.subject.clone(),
            claims: self.claims.clone(),
            jkt: params.get("dpop_jkt").cloned(),
        };
        self.consents.insert(code.clone(), consent);
        self.response_url(&[("code", &code), ("state", &params["state"])])
    }

    /// Returns true if an API accepts this access token. The token must not be expired or revoked, and must be the
    /// newest token of its family for its resource.
    pub fn accepts(&self, access_token: &str, now: u64) -> bool {
        self.access_tokens
            .get(access_token)
            .is_some_and(|&(family, end)| {
                let family = &self.families[family];
                let is_newest = family.access_token == access_token
                    || family
                        .of_resources
                        .values()
                        .any(|newest| newest == access_token);
                now < end && !family.is_revoked && is_newest
            })
    }

    /// Returns the user of the access token in this `Authorization` header, or `None` for an unknown token.
    pub fn user_of(&self, authorization: &str) -> Option<&str> {
        let (_, access_token) = authorization.split_once(' ')?;
        let &(family, _) = self.access_tokens.get(access_token)?;
        Some(&self.families[family].subject)
    }

    /// Returns the thumbprint of the key that this access token is bound to, or `None` for an unbound or unknown token.
    pub fn key_of(&self, access_token: &str) -> Option<&str> {
        let &(family, _) = self.access_tokens.get(access_token)?;
        self.families[family].jkt.as_deref()
    }

    /// Returns the time at which an access token expires, in milliseconds, or `None` for an unknown token.
    pub fn access_until(&self, access_token: &str) -> Option<u64> {
        Some(self.access_tokens.get(access_token)?.1)
    }

    /// Returns the time of a family's login, in milliseconds.
    pub fn login_at(&self, family: usize) -> u64 {
        self.families[family].login_at
    }

    pub fn is_revoked(&self, family: usize) -> bool {
        self.families[family].is_revoked
    }

    /// Returns true if a refresh token has a successor.
    pub fn is_consumed(&self, refresh_token: &str) -> bool {
        let mut consumed = self.families.iter().flat_map(|family| &family.consumed);
        consumed.any(|(token, _)| token == refresh_token)
    }

    /// Returns the resource that an access token is for, if any.
    pub fn resource_of(&self, access_token: &str) -> Option<&str> {
        Some(self.meant_for.get(access_token)?)
    }

    /// Returns the resource that the access token of a request must be for: that of the API, or of logins.
    pub fn wanted_resource<'a>(
        &'a self,
        request: &ApiRequest,
        of_api: Option<&'a str>,
    ) -> Option<&'a str> {
        let has_login_token = request.allowed.token_selector().is_none();
        let of_login = self.login_resource.as_deref().filter(|_| has_login_token);
        of_api.or(of_login)
    }

    /// Returns the thumbprint of the key that a family's tokens are bound to, if they are bound to a key.
    pub fn key_of_family(&self, family: usize) -> Option<&str> {
        self.families[family].jkt.as_deref()
    }

    /// Makes the API reject all access tokens that were issued so far.
    pub fn withdraw_access_tokens(&mut self) {
        for (_, end) in self.access_tokens.values_mut() {
            *end = 0;
        }
    }

    /// Returns the number of the newest family.
    pub fn newest_family(&self) -> usize {
        self.families.len() - 1
    }

    /// Returns the access token that was issued last.
    pub fn newest_access_token(&self) -> &str {
        self.families
            .last()
            .map_or("", |family| &family.access_token)
    }

    /// Returns the ID token that was issued last.
    pub fn newest_id_token(&self) -> &str {
        &self.last_id_token
    }

    /// Returns true if all families are revoked.
    pub fn has_revoked_everything(&self) -> bool {
        self.families.iter().all(|family| family.is_revoked)
    }

    /// Returns true if this user has signed in, and all families of the user are revoked.
    pub fn has_revoked_all_of(&self, subject: &str) -> bool {
        let mut families = self.families.iter().filter(|f| f.subject == subject);
        families.clone().count() > 0 && families.all(|family| family.is_revoked)
    }

    /// Returns the user of a family.
    pub fn subject_of(&self, family: usize) -> &str {
        &self.families[family].subject
    }

    /// Returns the family of a refresh token, or of a redeemed code or device code. Returns `None` for any other
    /// string.
    pub fn family_of(&self, secret: &str) -> Option<usize> {
        self.family_of.get(secret).copied()
    }

    /// Returns the family of an access token, or `None` for an unknown token.
    pub fn family_of_access(&self, access_token: &str) -> Option<usize> {
        Some(self.access_tokens.get(access_token)?.0)
    }

    /// Verifies a signature as the browser does. The provider remembers its own signatures, which halves the duration
    /// of a simulation.
    pub fn verify(&self, jwk: &str, input: &str, signature: &[u8]) -> bool {
        let is_own = self.signed.get(input).is_some_and(|(signer, made)| {
            let point = keys()[*signer].point();
            made == signature && jwk.contains(&base64url::encode(&point[1..33]))
        });
        is_own || verify(jwk, input, signature)
    }

    /// Returns the facts of the ID token with this signing input, or `None` if the provider did not sign this input.
    pub fn id_token_facts(&self, signing_input: &str) -> Option<&IdTokenFacts> {
        self.id_tokens.get(signing_input)
    }

    /// Returns true if this family's refresh token is still valid.
    pub fn honors(&self, family: usize) -> bool {
        !self.families[family].is_revoked && !self.refused.contains(&family)
    }

    /// Ends a session, as an administrator of the provider may.
    pub fn revoke_family(&mut self, family: usize) {
        self.families[family].is_revoked = true;
    }

    pub const fn family_count(&self) -> usize {
        self.families.len()
    }

    /// Returns the refresh token of the latest login.
    pub fn latest_refresh_token(&self) -> &str {
        let family = self.families.last();
        let token = family.and_then(|family| family.refresh_token.as_deref());
        token.expect("a refresh token")
    }

    /// Describes a refresh token by its position in its family.
    pub fn describe(&self, refresh_token: &str) -> String {
        let Some(i) = self.family_of(refresh_token) else {
            return "an unknown refresh token".to_owned();
        };
        let consumed = &self.families[i].consumed;
        let nth = consumed
            .iter()
            .position(|(token, _)| token == refresh_token);
        let nth = nth.unwrap_or(consumed.len()) + 1;
        format!("refresh token {nth} of family {i}")
    }

    /// Returns the number of rotations of all families' refresh tokens.
    pub fn rotations(&self) -> usize {
        self.families.iter().map(|f| f.consumed.len()).sum()
    }

    pub fn endpoint_of(&self, request: &HttpRequest) -> Endpoint {
        let profiles = [&self.profile_url, &self.old_profile_url];
        let is_profile = profiles
            .iter()
            .any(|url| url.as_ref() == Some(&request.url));
        if request.access_token.is_some() && is_profile {
            return Endpoint::Profile;
        }
        let url = as_read(&request.url);
        // The port may be written although it is the usual one.
        let url = url.replacen(".com:443/", ".com/", 1);
        let path = url.strip_prefix(self.root()).unwrap_or(&request.url);
        match path.strip_prefix(BASE).unwrap_or(path) {
            path if path.starts_with("/.well-known/openid-configuration?") => Endpoint::Probe,
            path if path.starts_with("/.well-known/oauth-authorization-server?") => Endpoint::Probe,
            path if path.starts_with("/jwks?") => Endpoint::Probe,
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                Endpoint::Discovery
            }
            "/jwks" => Endpoint::Keys,
            "/revoke" => Endpoint::Revoke,
            "/par" => Endpoint::Push,
            "/device" => Endpoint::AskDevice,
            "/token" => match form_of(request)["grant_type"].as_str() {
                "authorization_code" => Endpoint::Exchange,
                "refresh_token" => Endpoint::Refresh,
                "urn:ietf:params:oauth:grant-type:device_code" => Endpoint::PollDevice,
                other => panic!("unknown grant_type: {other}"),
            },
            _ => panic!("the provider has no such endpoint: {path}"),
        }
    }

    /// Returns true if the provider no longer has the endpoint of this request.
    pub fn has_left(&self, request: &HttpRequest) -> bool {
        let is_document = request.url.contains("/.well-known/");
        self.left.is_some() && !is_document && !request.url.contains(self.base)
    }

    /// Returns the issuer without a slash at its end.
    fn root(&self) -> &str {
        self.issuer.trim_end_matches('/')
    }

    /// Returns the redirect URL with these parameters.
    pub fn response_url(&self, params: &[(&str, &str)]) -> String {
        let mut form = form::Form::new();
        for (name, value) in params {
            form.push(name, value);
        }
        if !params.iter().any(|(name, _)| *name == "iss") {
            form.push("iss", &self.issuer);
        }
        [&self.redirect_uri, "?", &form.finish()].concat()
    }

    /// Returns true if a response is the provider's discovery document or key set.
    pub fn is_metadata(&self, outcome: &Outcome) -> bool {
        let Outcome::Reply(reply) = outcome else {
            return false;
        };
        let document = reply.json_text().and_then(|text| Value::parse(text).ok());
        let document = document.as_ref().and_then(Value::as_object);
        let is_it = |d: &Object| d.str("issuer") == Some(&self.issuer) || d.get("keys").is_some();
        reply.status == 200 && document.is_some_and(is_it)
    }

    /// Returns the members of the metadata that every test needs.
    fn endpoints(&self) -> String {
        let mut object = Object::new();
        object.push("issuer", self.issuer.as_str().into());
        for (name, path) in [
            ("authorization_endpoint", "/authorize"),
            ("token_endpoint", "/token"),
            ("jwks_uri", "/jwks"),
            ("revocation_endpoint", "/revoke"),
            ("end_session_endpoint", "/logout"),
        ] {
            if name != "jwks_uri" || !self.is_plain {
                object.push(name, [self.root(), self.base, path].concat().into());
            }
        }
        let iss = "authorization_response_iss_parameter_supported";
        object.push(iss, self.announces_iss.into());
        text(&object)
    }

    /// Returns the response to a request, or `None` if no response will ever arrive.
    pub fn respond(
        &mut self,
        now: u64,
        request: &HttpRequest,
        proof: Option<&str>,
    ) -> Option<Outcome> {
        let form = request.form.as_ref().map_or("", |form| form.expose());
        self.bytes += request.url.len() + form.len();
        let endpoint = self.endpoint_of(request);
        let once = self.faults.get_mut(&endpoint).and_then(VecDeque::pop_front);
        let is_old_profile = self.old_profile_url.as_ref() == Some(&request.url);
        let moved = self.left.filter(|_| self.has_left(request));
        let moved = moved.or(is_old_profile.then_some(Fault::Status(404)));
        let fault = moved.or(once.or_else(|| self.outages.get(&endpoint).copied()));
        let Some(fault) = fault else {
            let mut reply = self.act(now, endpoint, request, proof);
            let off = self.dates_off.get(&endpoint).copied();
            let off = off.or(self.tells_time.then_some(0));
            reply.date = off.map(|off| now.saturating_add_signed(off));
            let is_end = reply.status == 400
                && reply
                    .body
                    .as_ref()
                    .is_some_and(|body| body.expose().contains("\"invalid_grant\""));
            if endpoint == Endpoint::Refresh && is_end {
                let sent = &form_of(request)["refresh_token"];
                self.refused.extend(self.family_of.get(sent));
                return Some(self.refuse(reply));
            }
            return Some(Outcome::from(reply));
        };
        Some(match fault {
            Fault::Silence => return None,
            Fault::LostBefore => Outcome::Failed,
            Fault::Opaque => Outcome::Opaque,
            Fault::LostAfter => {
                self.act(now, endpoint, request, proof);
                Outcome::Failed
            }
            Fault::Status(status) => Outcome::from(json(status, "")),
            Fault::Busy(status, seconds) => Outcome::from(HttpReply {
                retry_after: seconds.map(Millis::from_secs),
                ..json(status, "")
            }),
            Fault::Html => {
                if endpoint == Endpoint::Revoke {
                    let sent = self.family_of(&form_of(request)["token"]);
                    self.answered_by_portal.extend(sent);
                }
                Outcome::from(HttpReply {
                    content_type: Some("text/html".to_owned()),
                    ..json(200, "<html>sign in to the hotel's network</html>")
                })
            }
            Fault::Truncated => {
                let whole = self.act(now, endpoint, request, proof);
                let text = whole.body.unwrap();
                let half = &text.expose()[..text.expose().len() / 2];
                Outcome::from(json(whole.status, half))
            }
            Fault::Marked => {
                let whole = self.act(now, endpoint, request, proof);
                let marked = ["\u{feff}", whole.body.as_ref().unwrap().expose()].concat();
                Outcome::from(HttpReply {
                    body: Some(marked.into()),
                    ..whole
                })
            }
            Fault::Padded => {
                let whole = self.act(now, endpoint, request, proof);
                let text = whole.body.unwrap();
                let padding: String = (0..512).map(|i| format!(r#","x{i}":0"#)).collect();
                let padded = text.expose().replacen('}', &[&padding, "}"].concat(), 1);
                Outcome::from(json(whole.status, &padded))
            }
            Fault::Altered(name, json_text) => {
                let whole = self.act(now, endpoint, request, proof);
                let reply = Value::parse(whole.body.as_ref().unwrap().expose()).unwrap();
                let mut others = Object::new();
                let members = reply.as_object().unwrap().iter();
                for (other, value) in members.filter(|(other, _)| *other != name) {
                    others.push(other, value.clone());
                }
                let others = text(&others);
                let altered = [
                    &others[..others.len() - 1],
                    ",\"",
                    name,
                    "\":",
                    json_text,
                    "}",
                ];
                Outcome::from(HttpReply {
                    body: Some(altered.concat().into()),
                    ..whole
                })
            }
            Fault::AsStatus(status) => Outcome::from(HttpReply {
                status,
                ..self.act(now, endpoint, request, proof)
            }),
            Fault::Echo => {
                let sent = request.form.as_ref().map_or("", Secret::expose);
                let mut object = Object::new();
                object.push("error", "invalid_client".into());
                object.push("error_description", sent.into());
                object.push("error_uri", [self.root(), "/?", sent].concat().into());
                Outcome::from(json(401, &text(&object)))
            }
            Fault::EchoAsCode => {
                let form = form_of(request);
                let secrets = ["code", "refresh_token", "token"];
                let sent = secrets.iter().find_map(|name| form.get(*name)).unwrap();
                Outcome::from(refusal(sent))
            }
            Fault::Response(status, body) => Outcome::from(json(status, body)),
            Fault::RefusedSaying(why) => Outcome::from(json(
                400,
                &format!(r#"{{"error":"invalid_grant","error_description":"{why}"}}"#),
            )),
            Fault::Refused(code) => Outcome::from(refusal(code)),
        })
    }

    fn act(
        &mut self,
        now: u64,
        endpoint: Endpoint,
        request: &HttpRequest,
        proof: Option<&str>,
    ) -> HttpReply {
        match endpoint {
            Endpoint::Probe if request.url.contains("/jwks?") => json(200, &self.key_set()),
            Endpoint::Discovery | Endpoint::Probe => json(200, &self.metadata()),
            Endpoint::Push => self.push(request),
            Endpoint::AskDevice => self.ask_device(request),
            Endpoint::Keys => json(200, &self.key_set()),
            Endpoint::Exchange | Endpoint::Refresh | Endpoint::PollDevice => {
                self.token(now, endpoint, request, proof)
            }
            Endpoint::Revoke => self.revoke(&form_of(request)["token"]),
            Endpoint::Profile => self.profile(now, request, proof),
        }
    }

    /// Returns the profile of the user to whom the request's access token was issued.
    fn profile(&mut self, now: u64, request: &HttpRequest, proof: Option<&str>) -> HttpReply {
        assert!(request.form.is_none() && !request.keepalive);
        let token = request.access_token.as_ref().expect("a token").expose();
        if !self.accepts(token, now) {
            return refusal("invalid_token");
        }
        let i = self.access_tokens[token].0;
        if let (Some(key), false) = (self.families[i].jkt.clone(), self.ignores_dpop) {
            let target = ("GET", request.url.as_str());
            let checked = self.profile_proofs.check(proof, target, Some(token), now);
            let dpop_nonce = self.profile_proofs.header();
            if checked.as_ref().map(|proof| &proof.jkt) != Ok(&key) {
                let refused = json(401, "{}");
                return HttpReply {
                    dpop_nonce,
                    ..refused
                };
            }
        }
        let mut profile = self.more_profile.clone();
        if self.is_plain {
            self.push_user(i, &mut profile);
        } else if profile.get("sub").is_none() {
            profile.push("sub", self.families[i].subject.as_str().into());
        }
        json(200, &text(&profile))
    }

    /// Adds the members that identify the user of a family without OpenID Connect, and the user's claims. Members that
    /// the response already has are kept.
    fn push_user(&self, i: usize, response: &mut Object) {
        let family = &self.families[i];
        let name = match self.name {
            _ if self.names_families => Some(i.to_string()),
            name => name.map(str::to_owned),
        };
        let subject = Value::from(family.subject.as_str());
        let name = name.map(|name| Value::from(name.as_str()));
        let own = [
            (self.sub_member.as_str(), Some(&subject)),
            ("name", name.as_ref()),
        ];
        let own = own.into_iter().filter(|(name, _)| !name.is_empty());
        let claims = family.claims.iter();
        for (name, value) in own.chain(claims.map(|(name, value)| (name, Some(value)))) {
            if let (None, Some(value)) = (response.get(name), value) {
                response.push(name, value.clone());
            }
        }
    }

    /// Returns the error response in the form that `refusing` selects.
    fn refuse(&self, plain: HttpReply) -> Outcome {
        Outcome::from(match self.refusing {
            Refusing::Plainly => plain,
            Refusing::Empty => json(400, ""),
            Refusing::Unauthorized => HttpReply {
                content_type: Some("text/html".to_owned()),
                ..json(401, "<html>401</html>")
            },
            Refusing::InvalidRequest => refusal("invalid_request"),
            Refusing::Hidden => return Outcome::Opaque,
        })
    }

    /// Returns the discovery document.
    pub fn metadata(&self) -> String {
        let mut metadata = self.endpoints();
        if !self.more_metadata.is_empty() {
            metadata.pop();
            metadata.push_str(&self.more_metadata);
            metadata.push('}');
        }
        if !self.announces_revocation {
            metadata = metadata.replace("revocation_endpoint", "x_revocation_endpoint");
        }
        if self.takes_pushed {
            let endpoint = [self.root(), self.base, "/par"].concat();
            metadata.pop();
            metadata.push_str(&format!(
                r#","pushed_authorization_request_endpoint":"{endpoint}","require_pushed_authorization_requests":{}}}"#,
                self.wants_pushed
            ));
        }
        if self.knows_devices {
            let endpoint = [self.root(), self.base, "/device"].concat();
            metadata.pop();
            metadata.push_str(&format!(
                r#","device_authorization_endpoint":"{endpoint}"}}"#
            ));
        }
        metadata
    }

    fn ask_device(&mut self, request: &HttpRequest) -> HttpReply {
        let device_code = self.secret("dc");
        self.device_codes += 1;
        let user_code = format!("CODE-{}", self.device_codes);
        let form = form::parse(request.form.as_ref().unwrap().expose()).unwrap();
        let named = form.into_iter().filter(|(name, _)| name == "resource");
        let login = DeviceLogin {
            user_code: user_code.clone(),
            resources: named.map(|(_, resource)| resource).collect(),
            progress: DeviceProgress::Pending,
        };
        self.devices.insert(device_code.clone(), login);
        json(
            200,
            &format!(
                r#"{{"device_code":"{device_code}","user_code":"{user_code}",
                "verification_uri":"{}/activate","expires_in":600,"interval":5}}"#,
                self.root()
            ),
        )
    }

    /// Signs in the users of all device codes.
    pub fn sign_in_on_devices(&mut self) {
        for login in self.devices.values_mut() {
            login.progress = DeviceProgress::SignedIn;
        }
    }

    /// Signs in the user who has entered this code on another device, or refuses with an error code. Returns false if
    /// no login waits for this code.
    pub fn enter_code(&mut self, user_code: &str, error: Option<String>) -> bool {
        let is_it = |login: &&mut DeviceLogin| {
            login.user_code == user_code && matches!(login.progress, DeviceProgress::Pending)
        };
        let Some(login) = self.devices.values_mut().find(is_it) else {
            return false;
        };
        login.progress = error.map_or(DeviceProgress::SignedIn, DeviceProgress::Refused);
        true
    }

    fn poll_device(
        &mut self,
        now: u64,
        device_code: &str,
        jkt: Option<String>,
        resource: Option<String>,
    ) -> HttpReply {
        let login = self.devices.get(device_code);
        let is_named = |one| login.is_some_and(|login| login.resources.contains(one));
        match login.map(|login| &login.progress) {
            None => refusal("invalid_grant"),
            _ if !resource.as_ref().is_none_or(is_named) => refusal("invalid_target"),
            Some(DeviceProgress::Pending) => refusal("authorization_pending"),
            Some(DeviceProgress::Refused(error)) => refusal(error),
            Some(DeviceProgress::SignedIn) => {
                self.devices.remove(device_code);
                self.family_of
                    .insert(device_code.to_owned(), self.families.len());
                let user = (self.subject.clone(), self.claims.clone());
                self.begin_family(now, user, (String::new(), jkt), resource)
            }
        }
    }

    /// Stores a pushed request. Its reference is not a secret, because pages see it.
    fn push(&mut self, request: &HttpRequest) -> HttpReply {
        self.references += 1;
        let reference = format!("urn:ietf:params:oauth:request_uri:{}", self.references);
        let response = format!(r#"{{"request_uri":"{reference}","expires_in":60}}"#);
        let sent = request.form.as_ref().unwrap().expose().to_owned();
        self.pushed.insert(reference, sent);
        json(201, &response)
    }

    fn token(
        &mut self,
        now: u64,
        endpoint: Endpoint,
        request: &HttpRequest,
        proof: Option<&str>,
    ) -> HttpReply {
        let proven = proof.map(|proof| {
            let url = as_read(&request.url);
            self.dpop.check(Some(proof), ("POST", &url), None, now)
        });
        let jkt = match proven.transpose() {
            Ok(proof) => proof.map(|proof| proof.jkt),
            Err(code) => {
                let nonce = self.dpop.header();
                return HttpReply {
                    dpop_nonce: nonce,
                    ..refusal(code)
                };
            }
        };
        let form = form_of(request);
        let named = |name| form.get(name).cloned();
        let asked = [named("resource"), named("audience"), named("scope")];
        if endpoint == Endpoint::Refresh {
            self.asked_for.push(asked);
        }
        let resource = named("resource").or(named("audience"));
        let is_known = |resource: &String| {
            self.resources.contains(&resource.as_str())
                || self.login_resource.as_ref() == Some(resource)
        };
        if !resource.as_ref().is_none_or(is_known) {
            return refusal("invalid_target");
        }
        let reply = match endpoint {
            Endpoint::Exchange => self.exchange(now, &form, jkt, resource),
            Endpoint::PollDevice => self.poll_device(now, &form["device_code"], jkt, resource),
            _ => self.refresh(now, &form["refresh_token"], jkt.as_deref(), resource),
        };
        HttpReply {
            dpop_nonce: self.dpop.header(),
            ..reply
        }
    }

    fn exchange(
        &mut self,
        now: u64,
        form: &BTreeMap<String, String>,
        jkt: Option<String>,
        resource: Option<String>,
    ) -> HttpReply {
        let Some(consent) = self.consents.remove(&form["code"]) else {
            return refusal("invalid_grant");
        };
        let hash = pkce::sha256(form["code_verifier"].as_bytes());
        if base64url::encode(&hash) != consent.challenge
            || form["redirect_uri"] != self.redirect_uri
            || consent.jkt.is_some() && consent.jkt != jkt
        {
            return refusal("invalid_grant");
        }
        self.family_of
            .insert(form["code"].clone(), self.families.len());
        let user = (consent.subject, consent.claims);
        self.begin_family(now, user, (consent.nonce, jkt), resource)
    }

    fn begin_family(
        &mut self,
        now: u64,
        (subject, claims): (String, Object),
        (nonce, jkt): (String, Option<String>),
        resource: Option<String>,
    ) -> HttpReply {
        self.families.push(Family {
            subject,
            claims,
            nonce,
            login_at: now,
            access_token: String::new(),
            refresh_token: None,
            consumed: Vec::new(),
            is_revoked: false,
            jkt: jkt.filter(|_| !self.ignores_dpop),
            of_resources: BTreeMap::new(),
        });
        self.issue(now, self.families.len() - 1, true, resource)
    }

    fn refresh(
        &mut self,
        now: u64,
        sent: &str,
        jkt: Option<&str>,
        resource: Option<String>,
    ) -> HttpReply {
        let is_current = |family: &Family| family.refresh_token.as_deref() == Some(sent);
        if let Some(i) = self.families.iter().position(is_current) {
            if self.families[i].is_revoked || self.families[i].jkt.as_deref() != jkt {
                return refusal("invalid_grant");
            }
            if self.rotates {
                self.families[i].consumed.push((sent.to_owned(), now));
            }
            return self.issue(now, i, false, resource);
        }
        let consumed = |family: &Family| family.consumed.iter().any(|(token, _)| token == sent);
        let Some(i) = self.families.iter().position(consumed) else {
            return refusal("invalid_grant");
        };
        let is_forgiven = self.families[i].consumed.last().is_some_and(|(token, at)| {
            token == sent && u128::from(now - at) < self.leeway.as_millis()
        });
        if is_forgiven && !self.families[i].is_revoked {
            return self.issue(now, i, false, resource);
        }
        // A family that was already revoked for another reason does not count.
        self.reuses += u32::from(!self.families[i].is_revoked);
        self.families[i].is_revoked = true;
        refusal("invalid_grant")
    }

    fn revoke(&mut self, token: &str) -> HttpReply {
        for family in &mut self.families {
            // Revoking an invalid token is not an error and has no effect (RFC 7009 section 2.2).
            if family.refresh_token.as_deref() == Some(token) {
                family.is_revoked = true;
            }
        }
        json(200, "")
    }

    fn issue(&mut self, now: u64, i: usize, is_login: bool, resource: Option<String>) -> HttpReply {
        let access_token = self.secret("access-token");
        let end = now + u64::try_from(self.lifetime.as_millis()).unwrap();
        self.access_tokens.insert(access_token.clone(), (i, end));
        let mut object = Object::new();
        object.push("access_token", access_token.as_str().into());
        let uses_dpop = self.families[i].jkt.is_some() && !self.ignores_dpop;
        let token_type = if uses_dpop { "DPoP" } else { "Bearer" };
        object.push("token_type", token_type.into());
        object.push("expires_in", self.lifetime.as_secs().into());
        if self.issues_refresh_tokens && (is_login || self.rotates) {
            let kind = format!("refresh-token-{i}-{}", self.families[i].consumed.len());
            let earlier = self.families[i].refresh_token.take();
            let repeats = |token: &String| {
                self.repeats_successors && token.starts_with(&[&*kind, "-"].concat())
            };
            let refresh_token = earlier
                .filter(repeats)
                .unwrap_or_else(|| self.secret(&kind));
            object.push("refresh_token", refresh_token.as_str().into());
            self.family_of.insert(refresh_token.clone(), i);
            self.families[i].refresh_token = Some(refresh_token);
        }
        if let Some(scope) = self.scope {
            object.push("scope", scope.into());
        }
        let has_id_token = is_login
            || self.id_token_on_refresh && (resource.is_none() || self.id_token_for_resources);
        let hash = pkce::sha256(access_token.as_bytes());
        match resource {
            Some(resource) => {
                self.meant_for
                    .insert(access_token.clone(), resource.clone());
                let newest = &mut self.families[i].of_resources;
                newest.insert(resource, access_token);
            }
            None => self.families[i].access_token = access_token,
        }
        let is_missing = matches!(self.flaw, Some(Flaw::Missing));
        if let (true, Some(Flaw::Claim("sub", Value::String(user)))) = (is_login, &self.flaw) {
            self.families[i].subject.clone_from(user);
        }
        if self.is_plain {
            if let (false, Some(Flaw::Claim("sub", other))) = (is_login, &self.flaw) {
                object.push(&self.sub_member, other.clone());
            }
            self.push_user(i, &mut object);
        } else if !is_missing && has_id_token {
            object.push("id_token", self.id_token(now, i, is_login, hash).into());
        }
        let mut response = Object::new();
        let kept = object
            .iter()
            .filter(|(name, _)| self.more_members.get(name).is_none());
        for (name, value) in kept.chain(self.more_members.iter()) {
            if *value != Value::Null {
                response.push(name, value.clone());
            }
        }
        json(200, &text(&response))
    }

    /// Returns an ID token of this family. `hash` is the hash of the access token in the same response.
    fn id_token(&mut self, now: u64, i: usize, is_login: bool, hash: [u8; 32]) -> String {
        let family = &self.families[i];
        let mut claims = vec![
            ("iss", self.issuer.as_str().into()),
            ("sub", family.subject.as_str().into()),
            ("aud", self.client_id.as_str().into()),
            ("iat", (now / 1000).into()),
            ("exp", (now / 1000 + 3600).into()),
            ("auth_time", (family.login_at / 1000).into()),
        ];
        // Another algorithm in the header would need another hash.
        if self.header.is_none() {
            claims.push(("at_hash", base64url::encode(&hash[..16]).into()));
        }
        if is_login && !family.nonce.is_empty() {
            claims.push(("nonce", family.nonce.as_str().into()));
        }
        if self.names_families {
            claims.push(("name", i.to_string().as_str().into()));
        } else if let Some(name) = self.name {
            claims.push(("name", name.into()));
        }
        for (name, value) in family.claims.iter() {
            claims.push((name, value.clone()));
        }
        if let Some(sid) = self.sid {
            claims.push(("sid", sid(&family.subject, i).as_str().into()));
        }
        let mut replacing: Vec<_> = self.more_claims.iter().collect();
        if let Some(Flaw::Claim(name, value)) = &self.flaw {
            replacing.push((name, value));
        }
        for (name, value) in replacing {
            claims.retain(|(known, _)| *known != name);
            claims.push((name, value.clone()));
        }
        let mut payload = Object::new();
        for (name, value) in claims {
            payload.push(name, value);
        }
        let kid = match self.flaw {
            Some(Flaw::UnknownKey) => "nobody's".to_owned(),
            _ => kid(self.signing_key),
        };
        let usual = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
        let signer = match self.flaw {
            Some(Flaw::Signature) => 1 - self.signing_key,
            _ => self.signing_key,
        };
        let is_of_another_user = match &self.flaw {
            Some(Flaw::Claim("sub", value)) => value.as_str() != Some(&family.subject),
            Some(Flaw::Claim("iss", _)) => true,
            _ => false,
        };
        let ends_for = if is_of_another_user {
            Some("security")
        } else {
            self.changes_claims.then_some("claims_changed")
        };
        let facts = IdTokenFacts {
            family: i,
            is_login,
            ends_for,
        };
        let token = jwt(signer, self.header.unwrap_or(&usual), &text(&payload));
        let (input, signature) = token.rsplit_once('.').unwrap();
        self.id_tokens.insert(input.to_owned(), facts);
        let signature = base64url::decode(signature).unwrap();
        self.signed.insert(input.to_owned(), (signer, signature));
        self.issued.push(token.clone());
        self.last_id_token.clone_from(&token);
        token
    }

    /// Returns a JWT that is signed with the current key.
    pub fn jwt(&self, header: &str, claims: &str) -> String {
        jwt(self.signing_key, header, claims)
    }

    /// Returns the set of the published keys.
    pub fn key_set(&self) -> String {
        key_set(&self.published_keys)
    }

    fn secret(&mut self, kind: &str) -> String {
        self.count += 1;
        let hash = pkce::sha256(&self.count.to_be_bytes());
        // Access tokens go into headers, so they have no spaces.
        let (padding, ending) = match kind {
            "code" => ("", &*self.ending),
            "access-token" => (&*self.padding, ""),
            _ if kind.starts_with("refresh-token-") => (&*self.padding, &*self.ending),
            _ => ("", ""),
        };
        let hash = base64url::encode(&hash[..18]);
        let secret = [kind, "-", &hash, padding, ending].concat();
        self.issued.push(secret.clone());
        secret
    }
}

/// Returns a `state` that begins with `text`, as one of this issuer's client with the ID `client`.
pub fn state_of(client: &str, text: &str) -> String {
    let app = rules::config::fingerprint(&format!("strongroom hints 1 {ISSUER} {client}"));
    format!("{text}.{app}")
}

/// Returns the usual provider's redirect URL with these parameters.
pub fn response_url(params: &[(&str, &str)]) -> String {
    Provider::new().response_url(params)
}

/// Returns the parameters of a query or form.
pub fn params(query: &str) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for (name, value) in form::parse(query).unwrap() {
        // An authorization request may name several resources (RFC 8707 section 2).
        let may_repeat = name == "resource";
        let is_new = params.insert(name, value).is_none();
        assert!(is_new || may_repeat, "repeated in {query}");
    }
    params
}

/// Returns the form of a POST to the provider.
pub fn form_of(request: &HttpRequest) -> BTreeMap<String, String> {
    params(request.form.as_ref().map_or("", Secret::expose))
}

/// Verifies an ES256 signature.
pub fn verify(jwk: &str, input: &str, signature: &[u8]) -> bool {
    let jwk = Value::parse(jwk).unwrap();
    let member = |name| base64url::decode(jwk.as_object().unwrap().str(name).unwrap()).unwrap();
    let point = [vec![4], member("x"), member("y")].concat();
    signer::verify(&point, input.as_bytes(), signature)
}

fn keys() -> &'static [SigningKey; 2] {
    static KEYS: OnceLock<[SigningKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| [(), ()].map(|()| SigningKey::generate()))
}

fn kid(key: usize) -> String {
    ["key-", &key.to_string()].concat()
}

fn jwt(signer: usize, header: &str, claims: &str) -> String {
    let input = [header, claims].map(|part| base64url::encode(part.as_bytes()));
    let input = input.join(".");
    let signature = base64url::encode(&keys()[signer].sign(input.as_bytes()));
    [input, signature].join(".")
}

fn key_set(published: &[usize]) -> String {
    let key = |&i: &usize| {
        let point = keys()[i].point();
        let mut key = Object::new();
        key.push("kty", "EC".into());
        key.push("crv", "P-256".into());
        key.push("kid", kid(i).into());
        key.push("x", base64url::encode(&point[1..33]).into());
        key.push("y", base64url::encode(&point[33..]).into());
        Value::from(key)
    };
    let mut set = Object::new();
    set.push("keys", published.iter().map(key).collect::<Vec<_>>().into());
    text(&set)
}

/// Returns a URL in the normal form of the WHATWG URL standard.
fn as_read(url: &str) -> String {
    Url::parse(url).expect("an address").href().to_owned()
}

pub(super) fn text(object: &Object) -> String {
    let mut text = String::new();
    object.write(&mut text);
    text
}
