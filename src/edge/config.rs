//! The token handler's configuration, which is read once, validated as a whole, and then immutable. The options are
//! documented for users in `pkg/src/edge/config.ts`.

pub(super) mod guards;
pub(super) mod keys;
pub(super) mod origins;

use rules::prelude::*;

use crate::config::guards::Guard;
use crate::config::keys::Keyring;
use crate::config::origins::Origins;
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::error::{Code, Error, Result};
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::json::{Object, Value};
use rules::codec::url::Url;
use rules::config::identity::refuse_with_identity;
use rules::config::reader::{self, Seconds};
use rules::config::{Faults, Flow, Limits, Options, provider, request, rule};
use rules::egress::policy::{EgressPolicy, Rule, RuleFault, spelling};
use rules::egress::request_headers::Exceptions;
use rules::egress::token_reflection::Scope;
use rules::oauth::jwks::Algorithm;
use rules::oauth::metadata::Metadata;
use rules::oauth::pkce;
use rules::oauth::token_endpoint::Scheme;

const OPTIONS: &str = "authorizationParams backChannelLogout base claims client clockTolerance consent cookie dpop \
    guards idTokenSignedResponseAlg identity issuer logDescriptions loginParams logout metadata origin par postLogoutRedirectUri \
    refreshTimeout requestTimeout requireIss resource routes sameClaims scope session trustedAudiences unrequestedScopes userInfo";

const AN_HOUR: Seconds = Seconds {
    least: 0,
    most: 3600,
    why: msg!("it must be a whole number of seconds from 0 to 3600"),
};

/// The range of [`Route::timeout`].
const UPSTREAM_TIME: Seconds = Seconds {
    least: 1,
    most: 3600,
    why: msg!("it must be a whole number of seconds from 1 to 3600"),
};

/// The default scope: identifies the user and allows refreshes.
const DEFAULT_SCOPE: &str = "openid offline_access";

/// Most paths in `session.bindExclude`. Browsers get them with each renewal.
const MOST_EXCLUDED: usize = 20;

const DEFAULT_METHODS: &str = "GET";

/// The default path of the endpoints.
const DEFAULT_BASE: &str = "/auth";

/// The client's authentication at the provider's endpoints.
#[derive(Debug)]
pub enum ClientAuth {
    /// `client_secret_basic` (RFC 6749 2.3.1)
    Basic(Secret),
    /// `client_secret_post`
    Post(Secret),
    /// `private_key_jwt` (RFC 7523 2.2, RFC 10070)
    PrivateKey {
        /// The private key, a JWK.
        jwk: Secret,
        /// The `kid` of the key.
        kid: Option<String>,
        /// The signature algorithm.
        algorithm: Algorithm,
        /// The audience of the assertions.
        audience: Audience,
    },
    /// `none`: a public client, protected by PKCE alone.
    None,
}

/// The audience of client assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The issuer, as RFC 10070 requires.
    Issuer,
    /// The URL of the token endpoint, also at other endpoints (RFC 7523 3).
    TokenEndpoint,
}

/// The client as registered with the provider.
#[derive(Debug)]
pub struct Client {
    /// `client_id`
    pub id: String,
    /// The client's authentication at the provider's endpoints.
    pub auth: ClientAuth,
}

/// The storage of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the browser's cookie, sealed.
    SealedInCookie,
    /// Sealed in the coordinator's store. The cookie has the session's ID.
    InStore,
}

/// The binding of sessions to keys of browsers (Device Bound Session Credentials).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// No session is bound, and nothing is checked.
    #[default]
    Off,
    /// Browsers bind their sessions. Requests that would be refused are only logged.
    Report,
    /// Browsers that support it bind their sessions. A request of a bound session needs the bound cookie.
    IfSupported,
    /// A session that is still not bound some time after its login is refused.
    Required,
}

impl Bind {
    /// The JSON of all values.
    const ALL: &str = r#"false "report" "if-supported" "required""#;

    /// Reads a value in JSON.
    pub(crate) fn from_json(json: &str) -> Option<Self> {
        Some(match json {
            "false" => Self::Off,
            r#""report""# => Self::Report,
            r#""if-supported""# => Self::IfSupported,
            r#""required""# => Self::Required,
            _ => return None,
        })
    }

    /// Returns true if requests of bound sessions are refused without the bound cookie.
    pub(crate) const fn is_enforced(self) -> bool {
        matches!(self, Self::IfSupported | Self::Required)
    }
}

/// `SameSite` of the session's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// The cookie is sent with requests of the same site, and with top-level navigations from other sites.
    Lax,
    /// The cookie is sent with requests of the same site only.
    Strict,
}

/// The names and attributes of cookies.
#[derive(Debug)]
pub struct Cookie {
    /// The configured name, with which the names of all tenants' cookies begin after the prefix.
    pub common_name: String,
    /// The first part of each cookie's name after the prefix.
    pub name: String,
    /// True if the prefix of cookie names is `__Host-Http-` instead of `__Host-`.
    pub http_prefix: bool,
    /// `SameSite` of the session's cookie.
    pub same_site: SameSite,
}

/// A part of the app that is served by an upstream.
#[derive(Debug)]
pub struct Route {
    /// The string with which the route's paths on the app's origin begin. The prefix ends in `/`.
    pub prefix: String,
    /// The URL that replaces the prefix.
    pub upstream: Url,
    /// The methods that are forwarded.
    pub methods: Vec<String>,
    /// The egress policy for the upstream.
    pub rules: EgressPolicy,
    /// The part of responses that is searched for the token.
    pub reflection: Scope,
    /// Exceptions from the list of request headers that the handler removes.
    pub headers: Exceptions,
    /// True if windows may navigate to the route. A navigation is a GET request without the header `X-Strongroom`,
    /// which scripts send.
    pub navigate: bool,
    /// True if elements of pages may load the route: pictures, videos, audio, text tracks and fonts.
    pub media: bool,
    /// The longest time until the head of the upstream's response.
    pub timeout: Millis,
    /// The URL by which pages may call the route, in addition to the prefix. The client configuration contains both the
    /// URL and the prefix.
    pub url: Option<Url>,
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The client and its provider.
    pub flow: Flow,
    /// The origins at which browsers see the app.
    pub origins: Origins,
    /// The path of the handler's own endpoints, without a slash at its end.
    pub base: String,
    /// The client as registered with the provider.
    pub client: Client,
    /// The keys that seal cookies and stored sessions.
    pub keys: Keyring,
    /// The names and attributes of cookies.
    pub cookie: Cookie,
    /// The storage of sessions.
    pub storage: Storage,
    /// True if the app's server may end each session, also where the provider cannot.
    pub admin: bool,
    /// The interval at which the coordinator's record of a session is read again.
    pub recheck: Millis,
    /// The time for which a cookie remains valid after a cookie of a later generation was presented.
    pub grace: Millis,
    /// The binding of sessions to keys of browsers.
    pub bind: Bind,
    /// Paths whose requests do not wait for the browser to renew the bound cookie.
    pub bind_exclude: Vec<String>,
    /// The routes to upstreams. The longest prefix wins.
    pub routes: Vec<Route>,
    /// The sites about whose requests a reverse proxy asks.
    pub(crate) guards: Vec<Guard>,
    /// The path to which the provider redirects the user after a logout.
    pub post_logout: Option<String>,
    /// True if the provider may end sessions (OpenID Connect Back-Channel Logout 1.0).
    pub back_channel_logout: bool,
    /// True if the provider's descriptions of errors are logged.
    pub logs_descriptions: bool,
    /// True if authorization requests are pushed (RFC 9126) even if the provider does not require this.
    pub par: bool,
    /// The provider's metadata, if it is configured and not discovered.
    pub metadata: Option<Box<Metadata>>,
    /// The tenant's name, or an empty string for a handler without tenants: see [`Config::with_tenant`].
    pub tenant: String,
}

/// The bytes of the tenant's hash in the names of its cookies.
const TENANT_HASH: usize = 9;

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] with a line for each fault, ten at most.
    pub fn parse(json: &str) -> Result<Self> {
        let mut object = reader::parse(json)?;
        let faults = Faults::default();
        let mut config = Self::read(&Options::of(&object, &faults));
        match faults.into_error() {
            None => {
                config.flow.metadata_members = object.take_object("metadata");
                Ok(config)
            }
            Some(error) => Err(error),
        }
    }

    fn read(options: &Options<'_>) -> Self {
        options.refuse_others(OPTIONS);
        let session = rules::config::session(options);
        session.refuse_others("absolute admin bind bindExclude grace idle recheck storage");
        let cookie = options.nested(
            "cookie",
            "cookie.",
            msg!("it must be an object with `keys`"),
        );
        cookie.refuse_others("httpPrefix keys name sameSite");
        let client = client(options);
        let limits = Limits::read(&session);
        let issuer = provider::issuer(options);
        let id = client.id.clone();
        let mut flow = Flow::read(options, issuer, id, Some(DEFAULT_SCOPE), limits);
        refuse_with_identity(options, "backChannelLogout");
        let origins = Origins::read(options);
        let storage = match &*session.one_of("storage", r#""sealed-in-cookie" "in-store""#) {
            r#""in-store""# => Storage::InStore,
            _ => Storage::SealedInCookie,
        };
        let guards = guards::read(options);
        // A session that begins now may meet a guard that is added later, so it keeps the `…_verified` claim of each claim.
        let claims = flow.claims.clone();
        let claims = claims.iter().map(String::as_str);
        for claim in claims.chain(guards.iter().flat_map(Guard::claims)) {
            flow.keep_claim(claim);
        }
        let expected = provider::expected(&flow.issuer, flow.identity.as_ref());
        if !guards.is_empty() {
            if storage != Storage::InStore {
                session.refuse("storage", msg!("`guards` needs 'in-store'"));
            }
            if matches!(origins, Origins::Requested) {
                options.refuse("origin", msg!("`guards` needs it"));
            }
            if flow.uses_dpop {
                options.refuse(
                    "dpop",
                    msg!("a proxy cannot send proofs, so `guards` needs `dpop: false`"),
                );
            }
        }
        let keys = keys(&cookie);
        let cookie_name = cookie_name(&cookie);
        Self {
            base: base(options),
            keys,
            cookie: Cookie {
                common_name: cookie_name.clone(),
                name: cookie_name,
                http_prefix: cookie.boolean("httpPrefix"),
                same_site: match &*cookie.one_of("sameSite", r#""lax" "strict""#) {
                    r#""strict""# => SameSite::Strict,
                    _ => SameSite::Lax,
                },
            },
            storage,
            admin: session.boolean("admin"),
            recheck: session.seconds("recheck", 10, &AN_HOUR),
            grace: session.seconds("grace", 60, &AN_HOUR),
            bind: bind(&origins, &session, &cookie),
            origins,
            bind_exclude: bind_exclude(&session),
            routes: routes(options),
            guards,
            post_logout: path(options, "postLogoutRedirectUri"),
            back_channel_logout: options.boolean_or("backChannelLogout", flow.has_openid()),
            logs_descriptions: options.boolean_or("logDescriptions", true),
            par: options.boolean("par"),
            metadata: provider::metadata(options, &expected),
            tenant: String::new(),
            flow,
            client,
        }
    }

    /// Returns the configuration for a tenant, which may have the issuer, the client, the keys and the host in common with
    /// other tenants. Nothing that a handler seals or signs for one tenant is valid for another one, and the keys of
    /// logouts in the coordinator differ.
    ///
    /// The names of cookies contain a hash of the tenant's name: all cookies have the path `/`, so tenants on one host
    /// would otherwise replace each other's cookies. All hashes have the same length, so no tenant's cookie looks like a
    /// login's cookie of another tenant.
    #[must_use]
    pub fn with_tenant(mut self, name: String) -> Self {
        let hash = pkce::sha256(name.as_bytes());
        let hash = hash.get(..TENANT_HASH).unwrap_or_default();
        self.cookie.name.push('-');
        self.cookie.name.push_str(&base64url::encode(hash));
        self.tenant = name;
        self
    }

    /// Returns the configuration for a handler without tenants.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] if an option is only for tenants.
    pub fn without_tenants(self) -> Result<Self> {
        if self.flow.forgets {
            let why = msg!("logout: 'forget' is only for tenants()");
            return Err(Error::new(Code::ConfigInvalid, why));
        }
        Ok(self)
    }

    /// Returns the authentication scheme of access tokens.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.flow.scheme()
    }

    /// Returns the route for a path of the app, if any.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<&Route> {
        let covering = self.routes.iter().filter(|r| path.starts_with(&r.prefix));
        covering.max_by_key(|route| route.prefix.len())
    }

    /// Returns the index of a route.
    #[must_use]
    pub(crate) fn index_of(&self, route: &Route) -> usize {
        let mut routes = self.routes.iter();
        let found = routes.position(|known| core::ptr::eq(known, route));
        found.unwrap_or_default()
    }

    /// Returns true if a path of `route` is another spelling of a path of a narrower route, which alone decides about
    /// its methods. The narrower route's prefix without its slash is a path of its own.
    #[must_use]
    pub fn is_spelling_of_narrower(&self, path: &str, route: &Route) -> bool {
        self.routes.iter().any(|other| {
            other.prefix.len() > route.prefix.len()
                && other.prefix.strip_suffix('/') != Some(path)
                && spelling::may_be_below(path, &other.prefix)
        })
    }
}

fn client(options: &Options<'_>) -> Client {
    const WHY: &str = msg!("it must be an object such as { id: 'web', auth: { method: 'none' } }");
    if options.object.get("client").is_none() {
        options.refuse("client", WHY);
    }
    let client = options.nested("client", "client.", WHY);
    client.refuse_others("auth id");
    if client.object.get("auth").is_none() {
        client.refuse(
            "auth",
            msg!("it must say how the client authenticates; { method: 'none' } for a public one"),
        );
    }
    let auth = client.nested("auth", "client.auth.", WHY);
    auth.refuse_others("alg audience key method secret");
    let secret = || {
        let secret = auth.secret("secret", msg!("it is missing: it must be the client's secret, or a function that takes it from env, where it must be set"));
        if !request::is_vschar(secret) {
            auth.refuse_unseen(
                "secret",
                msg!("it must have at least one character, all of printable ASCII"),
            );
        }
        Secret::from(secret)
    };
    let auth = match auth.object.str("method") {
        Some("client_secret_basic") => ClientAuth::Basic(secret()),
        Some("client_secret_post") => ClientAuth::Post(secret()),
        Some("private_key_jwt") => private_key(&auth),
        Some("none") => ClientAuth::None,
        _ => {
            auth.refuse(
                "method",
                msg!("it must be client_secret_basic, client_secret_post, private_key_jwt or none"),
            );
            ClientAuth::None
        }
    };
    Client {
        id: request::client_id(&client, "id"),
        auth,
    }
}

fn private_key(auth: &Options<'_>) -> ClientAuth {
    const WHY: &str =
        msg!("it must be a private key as a JWK, with `kty`, `d`, and `alg` unless that is given");
    let key = auth.object.get("key").and_then(Value::as_object);
    let private = key.filter(|key| key.str("d").is_some() && key.str("kty").is_some());
    let named = auth.object.str("alg").or_else(|| key?.str("alg"));
    let algorithm = named.and_then(Algorithm::from_name);
    let (Some(private), Some(algorithm)) = (private, algorithm) else {
        auth.refuse_unseen("key", WHY);
        return ClientAuth::None;
    };
    let mut jwk = String::new();
    private.write(&mut jwk);
    ClientAuth::PrivateKey {
        jwk: Secret::new(jwk),
        kid: private.str("kid").map(str::to_owned),
        algorithm,
        audience: match &*auth.one_of("audience", r#""issuer" "token-endpoint""#) {
            r#""token-endpoint""# => Audience::TokenEndpoint,
            _ => Audience::Issuer,
        },
    }
}

/// Reads an array of keys, or one string in which spaces or commas separate the keys, as in environment variables.
fn keys(cookie: &Options<'_>) -> Keyring {
    const WHY: &str = msg!(
        "it must have at least one key: 32 random bytes in base64 (openssl rand -base64 32); the first key seals, all keys open"
    );
    let texts = match cookie.object.get("keys") {
        Some(Value::String(text)) => strings::split_list(text),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if texts.is_empty() {
        cookie.refuse_unseen("keys", WHY);
        return Keyring::default();
    }
    Keyring::parse(&texts).unwrap_or_else(|why| {
        cookie.refuse_unseen("keys", &why);
        Keyring::default()
    })
}

fn bind(origins: &Origins, session: &Options<'_>, cookie: &Options<'_>) -> Bind {
    let bind = Bind::from_json(&session.one_of("bind", Bind::ALL)).unwrap_or_default();
    if bind == Bind::Required {
        if cookie.boolean("httpPrefix") {
            session.refuse("bind", msg!("browsers bind no cookie with the prefix __Host-Http-: remove `cookie.httpPrefix`"));
        } else if origins.has_http() {
            session.refuse(
                "bind",
                msg!("browsers bind sessions over https only: use 'if-supported' on localhost"),
            );
        }
    }
    bind
}

fn bind_exclude(session: &Options<'_>) -> Vec<String> {
    const WHY: &str = msg!("it must be an array of at most 20 paths of the app, such as /assets");
    let Some(value) = session.object.get("bindExclude") else {
        return Vec::new();
    };
    let items = value.as_array().unwrap_or_default();
    let paths: Vec<String> = items
        .iter()
        .filter_map(Value::as_str)
        .filter(|path| is_path(path) && !has_one_of(path, b"?#"))
        .map(str::to_owned)
        .collect();
    if value.as_array().is_none() || paths.len() < items.len() || paths.len() > MOST_EXCLUDED {
        session.refuse("bindExclude", WHY);
    }
    paths
}

fn cookie_name(cookie: &Options<'_>) -> String {
    let name = cookie
        .object
        .get("name")
        .map_or(Some("strongroom"), Value::as_str);
    let is_sound = |name: &&str| {
        (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !name.starts_with("__")
    };
    let sound = name.filter(is_sound);
    if sound.is_none() {
        cookie.refuse(
            "name",
            msg!("it must have 1 to 32 letters, digits, - and _; the cookie prefix is added"),
        );
    }
    sound.unwrap_or_default().to_owned()
}

/// Returns true if one of these bytes is in `text`.
fn has_one_of(text: &str, bytes: &[u8]) -> bool {
    text.bytes().any(|byte| strings::contains_byte(bytes, byte))
}

/// Returns true for a path in the URL parser's normal form.
fn is_path(text: &str) -> bool {
    let url = Url::parse(&["http://localhost", text].concat());
    text.starts_with('/')
        && !text.starts_with("//")
        && url.is_some_and(|url| url.relative() == text)
}

fn base(options: &Options<'_>) -> String {
    let base = options
        .object
        .get("base")
        .map_or(Some(DEFAULT_BASE), Value::as_str);
    let sound =
        base.filter(|base| is_path(base) && !base.ends_with('/') && !has_one_of(base, b"?#"));
    if sound.is_none() {
        options.refuse(
            "base",
            msg!("it must be a path such as /auth, without a slash at its end"),
        );
    }
    sound.unwrap_or_default().to_owned()
}

fn path(options: &Options<'_>, name: &str) -> Option<String> {
    let text = options.object.get(name)?.as_str();
    let sound = text.filter(|text| is_path(text));
    if sound.is_none() {
        options.refuse(name, msg!("it must be a path of the app, such as /"));
    }
    sound.map(str::to_owned)
}

fn routes(options: &Options<'_>) -> Vec<Route> {
    const WHY: &str = msg!("it must be an array of objects with `prefix` and `upstream`");
    let mut routes: Vec<Route> = Vec::new();
    let Some(value) = options.object.get("routes") else {
        return routes;
    };
    let Some(items) = value.as_array() else {
        options.refuse("routes", WHY);
        return routes;
    };
    for (i, item) in items.iter().enumerate() {
        let path = [&*reader::indexed("routes", i), "."].concat();
        let Some(object) = item.as_object() else {
            options.refuse("routes", WHY);
            continue;
        };
        let route = options.within(object, &path);
        route.refuse_others(
            "allowHeaders denyHeaders media methods navigate prefix reflection stepUp timeout upstream url",
        );
        if let Some(read) = self::route(&route, object) {
            if routes.iter().any(|known| known.prefix == read.prefix) {
                route.refuse("prefix", msg!("another route has the same prefix"));
            }
            let is_same = |known: &Route| {
                known.url.as_ref().map(Url::href) == read.url.as_ref().map(Url::href)
            };
            if read.url.is_some() && routes.iter().any(is_same) {
                route.refuse("url", msg!("another route has the same URL"));
            }
            routes.push(read);
        }
    }
    routes
}

fn route(route: &Options<'_>, object: &Object) -> Option<Route> {
    let prefix = object
        .str("prefix")
        .filter(|prefix| is_path(prefix) && prefix.ends_with('/') && !has_one_of(prefix, b"?#%"));
    if prefix.is_none() {
        route.refuse(
            "prefix",
            msg!("it must be a path that begins and ends with a slash, such as /api/"),
        );
    }
    let upstream = object.str("upstream").and_then(Url::parse);
    if upstream.is_none() {
        route.refuse(
            "upstream",
            msg!("it must be an absolute URL such as https://api.example.com/v1/"),
        );
    }
    let reflection = rule::reflection(route);
    let headers = rule::header_exceptions(route);
    if headers.allow_handlers_own() {
        route.refuse("allowHeaders", rule::NOT_HEADERS);
    }
    let methods = route.strings(
        "methods",
        DEFAULT_METHODS,
        msg!("it must be an array of methods such as ['GET', 'POST']"),
    );
    let navigate = route.boolean("navigate");
    let media = route.boolean("media");
    if media && navigate {
        route.refuse(
            "media",
            msg!("a route with `navigate` cannot have it: use two routes"),
        );
    }
    if media
        && methods
            .iter()
            .any(|method| method != "GET" && method != "HEAD")
    {
        route.refuse(
            "media",
            msg!("a picture in a page can load the route, so `methods` may have only GET and HEAD"),
        );
    }
    let steps_up = route.boolean("stepUp");
    let timeout = route.seconds("timeout", 60, &UPSTREAM_TIME);
    let url = page_url(route, object);
    let (prefix, upstream) = (prefix?, upstream?);
    let rule = match Rule::new(upstream.clone(), methods.clone()) {
        Ok(rule) => rule.with_reflection(reflection).with_step_up(steps_up),
        Err(RuleFault::Method) => {
            route.refuse(
                "methods",
                msg!("it must name methods in capitals, and neither CONNECT, TRACE nor TRACK"),
            );
            return None;
        }
        Err(_) => {
            route.refuse("upstream", msg!("it must be https (http is for loopback only), end in a slash, and have neither user name, query nor fragment"));
            return None;
        }
    };
    Some(Route {
        prefix: prefix.to_owned(),
        upstream,
        methods,
        rules: EgressPolicy::new(vec![rule]),
        reflection,
        headers,
        navigate,
        media,
        timeout,
        url,
    })
}

/// Reads the URL by which pages call a route. The URL is never fetched, so its server need not exist.
fn page_url(route: &Options<'_>, object: &Object) -> Option<Url> {
    let url = object.get("url")?.as_str().and_then(Url::parse);
    let is_sound = |url: &Url| {
        url.is_plain() && url.path().ends_with('/') && ["http", "https"].contains(&url.scheme())
    };
    let sound = url.filter(is_sound);
    if sound.is_none() {
        route.refuse(
            "url",
            msg!("it must be an absolute URL that ends in a slash, without user name, query or fragment"),
        );
    }
    sound
}
