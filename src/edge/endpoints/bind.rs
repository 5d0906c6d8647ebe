//! The binding of a session to a key of the browser (Device Bound Session Credentials): `POST <base>/bind` registers the
//! key, and `POST <base>/bind/refresh` renews the bound cookie.
//!
//! Both read no cookie: after a login at a provider on another site, browsers send none here. The challenge, or the sealed
//! state in the address of the renewal, says which session is meant, and the signature decides.

pub(crate) mod registration;
pub(crate) mod renewal;

use rules::prelude::*;

use crate::config::Storage;
use crate::csrf;
use crate::io::OwnResponse;
use crate::lines::{LineReader, LineWriter};
use crate::provider::verification;
use crate::request::RequestContext;
use crate::response;
use crate::session::Session;
use crate::session::binding::{LIFE, MARGIN};
use crate::session::bound_cookie::{Subject, Use};
use rules::base::clock::{Millis, UnixMillis};
use rules::codec::json::Writer;
use rules::oauth::jwks::{Algorithm, Jwk};
use rules::oauth::jwt::Jwt;

/// The path of the registration, after the base.
const REGISTRATION_PATH: &str = "/bind";

/// The path of the renewal, after the base.
const RENEWAL_PATH: &str = "/bind/refresh";

/// Paths, after the base, whose requests do not wait for a renewal: they use no session, or are sent by a page of another
/// site.
const EXCLUDED: &[&str] = &["/login", "/callback", "/popup", "/backchannel-logout"];

/// The name of the response header with a challenge for the next renewal.
const CHALLENGE_HEADER: &str = "secure-session-challenge";

/// The version of a challenge of a registration, and of the state in the address of a renewal.
const VERSION: &str = "1";

/// A session that a challenge or the address of a renewal names.
struct SessionReference {
    sid: String,
    began: UnixMillis,
    /// The place in which the session was when its key was registered.
    storage: Storage,
}

impl SessionReference {
    /// Begins the text to seal. Callers append their own lines.
    fn to_lines(&self) -> LineWriter {
        let mut lines = LineWriter::new(VERSION);
        lines
            .text(&self.sid)
            .number(self.began)
            .text(match self.storage {
                Storage::InStore => "stored",
                Storage::SealedInCookie => "sealed",
            });
        lines
    }

    /// Reads the lines of [`SessionReference::to_lines`].
    fn from_lines(lines: &mut LineReader<'_>) -> Option<Self> {
        Some(Self {
            sid: lines.text()?.to_owned(),
            began: lines.number()?,
            storage: match lines.text()? {
                "stored" => Storage::InStore,
                _ => Storage::SealedInCookie,
            },
        })
    }

    /// Returns the session without its tokens, by which its record is found.
    fn placeholder(&self) -> Session {
        Session::unknown(&self.sid, self.began)
    }
}

/// Checks that a browser itself sent this request for a page of the app. A script can set neither `Origin` nor
/// `Sec-Fetch-*`. In the mode `no-cors` it cannot set `Secure-Session-Response` either, because the browser removes it.
fn is_by_browser(context: &RequestContext) -> bool {
    let request = &context.request;
    let is_own =
        csrf::is_same_origin(request) && csrf::require_origin(request, &context.origin).is_ok();
    is_own && request.mode.as_deref() == Some("no-cors")
}

/// Returns the purpose of a sealed value: it names the client and the session's cookie, so that no value of another
/// handler opens.
fn purpose(context: &RequestContext, what: &str) -> String {
    let config = context.task.config();
    let (issuer, client) = (&config.flow.issuer, &config.client.id);
    let cookie = context.jar().session();
    [what, " ", issuer, " ", client, " ", &cookie].concat()
}

/// Returns the value of a header. Browsers send it with quotes, as the specification shows it, or without.
fn unquoted(value: &str) -> &str {
    let value = value.trim_ascii();
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// The longest signed challenge, which names an RSA key of 4096 bits and has its signature. The signatures of longer keys take
/// long to verify, and anybody can send them.
const LONGEST_RESPONSE: usize = 3000;

/// Parses a signed challenge: a JWT of the type `dbsc+jwt` with the challenge as `jti`.
fn parse_signed_challenge(response: &str) -> Option<(Box<Jwt>, Algorithm, String)> {
    if response.len() > LONGEST_RESPONSE {
        return None;
    }
    let jwt = Jwt::parse(unquoted(response)).ok()?;
    let algorithm = Algorithm::from_name(jwt.alg())
        .filter(|found| matches!(found, Algorithm::Es256 | Algorithm::Rs256))?;
    let challenge = jwt.claims().str("jti")?.to_owned();
    jwt.is_of_type("dbsc+jwt")
        .then_some((jwt, algorithm, challenge))
}

/// Checks the signature of a challenge with this key.
async fn is_signed(context: &RequestContext, jwt: &Jwt, algorithm: Algorithm, key: &Jwk) -> bool {
    key.is_for(algorithm)
        && verification::verify_signature(
            &context.task,
            algorithm,
            key.public_json().to_owned(),
            jwt.signing_input(),
            jwt.signature(),
        )
        .await
}

/// Builds the response that ends the browser's bound session.
fn ended(context: &RequestContext) -> OwnResponse {
    let body = Writer::object()
        .text("session_identifier", &identifier(context))
        .flag("continue", false)
        .finish();
    response::json(200, body)
}

/// Returns the identifier of the browser's bound session. All sessions of this handler on one host have the same
/// identifier, so that a new session replaces the one before. Otherwise the browser would renew both, and one bound cookie
/// would replace the other. The identifier contains the host, because a browser keeps one session for each identifier of a
/// site, which includes all subdomains.
fn identifier(context: &RequestContext) -> String {
    let origin = context.origin.as_str();
    let host = origin.strip_prefix("https://").unwrap_or(origin);
    [&context.jar().session(), " ", host].concat()
}

/// Builds the response with a new bound cookie.
fn renewed(context: &RequestContext, subject: Subject<'_>, state: &str) -> OwnResponse {
    let config = context.task.config();
    let jar = context.jar();
    let Some(name) = jar.bound() else {
        return ended(context);
    };
    let now = context.task.now().wall;
    let until = now.saturating_add((LIFE + MARGIN).0);
    let cookie = subject.issue(config, Use::Cookie, until);
    let attributes = jar.bound_attributes();
    let mut credential = Writer::object();
    credential
        .text("type", "cookie")
        .text("name", &name)
        .text("attributes", &attributes);
    let refresh = [&*config.base, RENEWAL_PATH, "?", state].concat();
    let body = Writer::object()
        .text("session_identifier", &identifier(context))
        .text("refresh_url", &refresh)
        .json("scope", &scope(context))
        .json("allowed_refresh_initiators", r#"["*"]"#)
        .json("credentials", &["[", &credential.finish(), "]"].concat())
        .finish();
    let mut response = response::json(200, body);
    response.cookies.push(jar.set_lax(&name, &cookie, LIFE));
    response
}

/// Adds a challenge for this session that is valid for this time.
fn challenge(
    context: &RequestContext,
    subject: Subject<'_>,
    life: Millis,
    response: &mut OwnResponse,
) {
    let until = context.task.now().wall.saturating_add(life.0);
    let challenge = subject.issue(context.task.config(), Use::Challenge, until);
    let value = ["\"", &challenge, "\";id=\"", &identifier(context), "\""].concat();
    response.headers.push((CHALLENGE_HEADER, value));
}

/// Returns the scope of the browser's session in JSON: the app's origin, except the paths that do not wait for a
/// renewal. Browsers read the rules from the last to the first.
fn scope(context: &RequestContext) -> String {
    let config = context.task.config();
    let own = EXCLUDED.iter().map(|path| [&*config.base, *path].concat());
    let mut rules = "[".to_owned();
    for path in own.chain(config.bind_exclude.iter().cloned()) {
        if rules.len() > 1 {
            rules.push(',');
        }
        let mut rule = Writer::object();
        rule.text("type", "exclude")
            .text("domain", "*")
            .text("path", &path);
        rules.push_str(&rule.finish());
    }
    rules.push(']');
    Writer::object()
        .text("origin", &context.origin)
        .flag("include_site", false)
        .json("scope_specification", &rules)
        .finish()
}

/// Returns the time that has certainly passed since `at`.
fn age(context: &RequestContext, at: UnixMillis) -> Millis {
    Millis(context.task.earliest_arrival().saturating_sub(at))
}
