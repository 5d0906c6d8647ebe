//! Requests to the provider, and the client's authentication.

use core::pin::Pin;

use crate::config::{Audience, ClientAuth};
use crate::event::Server;
use crate::io::{Effect, Reply};
use crate::isolate::Seldom;
use crate::store::lease;
use crate::task::{Task, boxed};
use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::error::Code;
use rules::base::http::{HttpRequest, Outcome};
use rules::base::strings;
use rules::codec::base64url;
use rules::codec::form::{Form, encoded};
use rules::codec::json::Writer;
use rules::oauth::jwks::Algorithm;
use rules::oauth::token_endpoint;
use rules::prelude::*;

/// Sends a request. If the task holds the lease of a refresh, waits longer, because the provider may have consumed the
/// refresh token that a repetition would send, and renews the lease meanwhile.
pub(crate) async fn send(
    task: &Task,
    request: HttpRequest,
    authorization: Option<Secret>,
    proof: Option<Secret>,
) -> Outcome {
    let flow = &task.config().flow;
    let timeout = if task.lease().borrow().is_some() {
        flow.refresh_timeout
    } else {
        flow.request_timeout
    };
    let effect = Effect::Send {
        request,
        authorization,
        proof,
        timeout,
    };
    let began = task.now();
    let mut is_noted = false;
    let mut reply = task.perform(effect).await;
    while matches!(reply, Reply::Pending) {
        is_noted = is_noted || note_silence(task, &began);
        boxed(lease::renew(task)).await;
        reply = task.perform(Effect::Await).await;
    }
    let Reply::Sent(outcome) = reply else {
        task.note_provider_result(None);
        if !is_noted {
            note_silence(task, &began);
        }
        return Outcome::Failed;
    };
    let reply = match &outcome {
        Outcome::Reply(reply) => Some(reply),
        _ => None,
    };
    task.note_provider_result(reply.map(|reply| reply.status));
    if let Some(date) = reply.and_then(|reply| reply.date) {
        task.compare_clocks(Server::Provider, date, &began);
    }
    outcome
}

/// Notes a refresh that has had no response since `began`, if that is as long as requests wait for it. Returns true then.
fn note_silence(task: &Task, began: &Instant) -> bool {
    let waits = began.elapsed(&task.now()) < task.config().flow.request_timeout;
    let isolate = task.isolate();
    let excuse = &isolate.provider_excuse;
    if waits || excuse.covers(&isolate.lateness, began, &task.now()) {
        return false;
    }
    let [jitter] = task.isolate().random();
    if let Some(lease) = &*task.lease().borrow() {
        let sid = &lease.session.sid;
        task.change_outage(msg!("it does not respond"), |outage| {
            outage.silent(sid, &task.now(), jitter);
        });
    }
    true
}

/// The pause before a request for a document of the provider is repeated.
const PAUSE: Millis = Millis(200);

/// Sends a request, and, if `may_repeat` is true, once more after a pause if it fails for a reason that may be over by then.
pub(crate) async fn repeated<'a>(
    task: &Task,
    may_repeat: bool,
    send: &dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + 'a>>,
) -> Outcome {
    let mut is_last = !may_repeat;
    loop {
        let began = task.now();
        let outcome = send().await;
        let limit = task.config().flow.request_timeout;
        if is_last || !outcome.may_be_brief(began.elapsed(&task.now()), limit) {
            return outcome;
        }
        is_last = true;
        task.pause(PAUSE).await;
    }
}

/// Returns the client's secret, or an empty string.
pub(crate) fn client_secret(task: &Task) -> &str {
    match &task.config().client.auth {
        ClientAuth::Basic(secret) | ClientAuth::Post(secret) => secret.expose(),
        _ => "",
    }
}

/// Logs the provider's description of an error. The text contains no secret.
pub(crate) fn log_provider_says(task: &Task, description: &str) {
    if task.config().logs_descriptions {
        let message = [msg!("the provider says "), description].concat();
        task.fault_seldom(Seldom::ProviderSays, &message);
    }
}

/// Removes `client_id` from the form of a request to the token or revocation endpoint if the client's ID is in the
/// header `Authorization`. The parameter is only for other clients (RFC 6749 4.1.3), and some servers count it as a
/// second method of authentication, which is not allowed (RFC 6749 2.3).
pub(crate) fn name_client_once(task: &Task, request: &mut HttpRequest) {
    if let (ClientAuth::Basic(_), Some(form)) = (&task.config().client.auth, &request.form) {
        let mut others = Form::new();
        for parameter in strings::split(form.expose(), b'&') {
            if !parameter.starts_with("client_id=") {
                others.push_encoded(parameter);
            }
        }
        request.form = Some(Secret::new(others.finish()));
    }
}

/// The lifetime of a client assertion. Some servers refuse a longer one.
const ASSERTION_SECONDS: u64 = 60;

/// The age of a new client assertion. This clock may be ahead of the server's, and some servers refuse an `iat` that is
/// ahead of theirs.
const ASSERTION_AGE_SECONDS: u64 = 5;

/// The client's authentication in one request.
#[derive(Default)]
struct Credentials {
    /// Members of the form.
    form: Form,
    /// The header `Authorization`.
    authorization: Option<Secret>,
    /// A text for the operator if the provider refuses the client.
    advice: Option<&'static str>,
}

/// Sends a request with the client's authentication, and with the DPoP proof `proof`, if there is one.
pub(crate) async fn send_as_client(
    task: &Task,
    mut request: HttpRequest,
    proof: Option<Secret>,
) -> Outcome {
    let Some(mut credentials) = credentials(task).await else {
        let message = msg!("client.auth.key cannot sign with the algorithm that is set");
        task.fault_of(Code::ConfigInvalid, &[message]);
        return Outcome::Failed;
    };
    if let Some(form) = &request.form {
        let more = Secret::new(credentials.form.finish());
        if !more.expose().is_empty() {
            request.form = Some(Secret::new([form.expose(), "&", more.expose()].concat()));
        }
    }
    let outcome = send(task, request, credentials.authorization, proof).await;
    if let (Some(advice), Outcome::Reply(reply)) = (credentials.advice, &outcome)
        && token_endpoint::text_member(reply, "error").as_deref() == Some("invalid_client")
    {
        task.fault_seldom(Seldom::Assertion, advice);
    }
    outcome
}

/// Returns the client's authentication for one request, or `None` if its key cannot sign.
async fn credentials(task: &Task) -> Option<Credentials> {
    let client = &task.config().client;
    let mut credentials = Credentials::default();
    match &client.auth {
        ClientAuth::None => {}
        // The client's ID and secret are form-encoded before they become user name and password (RFC 6749 2.3.1).
        ClientAuth::Basic(secret) => {
            let parts = [encoded(&client.id), encoded(secret.expose())];
            if parts != [&*client.id, secret.expose()] {
                credentials.advice = Some(msg!(
                    "the provider refused the client, whose ID or secret has characters that are encoded for client_secret_basic (RFC 6749 2.3.1); some providers do not decode them: use client_secret_post, private_key_jwt, or a secret of letters and digits"
                ));
            }
            let [user, password] = &parts;
            let pair = [user, ":", password].concat();
            let pair = Secret::new(base64url::encode_plain(pair.as_bytes()));
            credentials.authorization = Some(Secret::new(["Basic ", pair.expose()].concat()));
        }
        ClientAuth::Post(secret) => {
            credentials.form.push("client_secret", secret.expose());
        }
        ClientAuth::PrivateKey {
            jwk,
            kid,
            algorithm,
            audience,
        } => {
            credentials.advice = Some(match audience {
                Audience::Issuer => msg!(
                    "the provider refused the client's assertion, whose audience is the issuer; if the provider requires its token endpoint there, set client.auth.audience to 'token-endpoint'"
                ),
                Audience::TokenEndpoint => msg!(
                    "the provider refused the client's assertion, whose audience is the token endpoint as client.auth.audience says"
                ),
            });
            let assertion = assertion(task, jwk, kid.as_deref(), *algorithm, *audience).await?;
            credentials
                .form
                .push(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .push("client_assertion", assertion.expose());
        }
    }
    Some(credentials)
}

/// Creates the assertion for `private_key_jwt` (RFC 7523 3). By default the issuer is the assertion's only audience, and
/// `typ` states the assertion's purpose (RFC 10070), so no other server accepts the assertion. Returns `None` if the
/// host could not sign.
async fn assertion(
    task: &Task,
    jwk: &Secret,
    kid: Option<&str>,
    algorithm: Algorithm,
    audience: Audience,
) -> Option<Secret> {
    // The request's own endpoint comes from the metadata, so the metadata is known.
    let endpoint = task.isolate().provider.borrow().token_endpoint();
    let (typ, audience) = match audience {
        Audience::TokenEndpoint => (None, endpoint),
        Audience::Issuer => (
            Some("client-authentication+jwt"),
            task.config().flow.issuer.clone(),
        ),
    };
    let issued_at = (task.now().wall / 1000).saturating_sub(ASSERTION_AGE_SECONDS);
    let id = &task.config().client.id;
    let mut header = Writer::object();
    header.text("alg", algorithm.name());
    for (name, value) in [("typ", typ), ("kid", kid)] {
        if let Some(value) = value {
            header.text(name, value);
        }
    }
    let header = header.finish();
    let claims = Writer::object()
        .text("iss", id)
        .text("sub", id)
        .text("aud", &audience)
        .text("jti", &base64url::encode(&task.isolate().random::<16>()))
        .number("iat", issued_at)
        .number("exp", issued_at + ASSERTION_SECONDS)
        .finish();
    let [header, claims] = [header, claims].map(|part| base64url::encode(part.as_bytes()));
    let input = Secret::new([&header, ".", &claims].concat());
    let effect = Effect::Sign {
        algorithm,
        jwk: jwk.clone(),
        signing_input: input.clone(),
    };
    match task.perform(effect).await {
        Reply::Signed(signature) => {
            let signature = base64url::encode(&signature);
            Some(Secret::new([input.expose(), ".", &signature].concat()))
        }
        _ => None,
    }
}
