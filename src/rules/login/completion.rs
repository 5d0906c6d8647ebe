//! The completion of a login: the steps from an authorization response to the tokens of a known user.
//!
//! Code exchanged → user known from a verified ID token, or from the profile → granted scopes checked → UserInfo claims
//! added. A login on another device has its tokens already, so it begins with the second step.
//!
//! [`Completion`] decides which [`Step`] comes next. Its *driver*, which is the vault or the token handler, carries the step
//! out: it sends requests, finds the key of the ID token, and checks the signature. The driver also checks the login's age
//! before the first step ([`Pending::check`]). After a failure, the driver decides whether to revoke the tokens, and whether
//! to repeat the login.

use crate::prelude::*;

use crate::Secret;
use crate::base::error::{Code, Error, Result};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::url::Url;
use crate::config::Flow;
use crate::login::authorization_request::{LoginParams, Pending};
use crate::login::authorization_response::AuthorizationResponse;
use crate::oauth::dpop;
use crate::oauth::error_description;
use crate::oauth::id_token::{self, Occasion, Unverified};
use crate::oauth::identity::Identity;
use crate::oauth::metadata::Metadata;
use crate::oauth::token_endpoint::{self, TokenSet};
use crate::session::evidence::Evidence;
use crate::session::profile;

/// The warning about a login without a refresh token that replaces a session with one, whatever the login requested.
pub const LOSES_REFRESH_TOKEN: &str = msg!(
    "this login brought no refresh token, and replaces a session that had one: the new session ends with its access token. A provider that issues refresh tokens only after it has asked for consent issues none to a login with prompt: 'none'"
);

/// The facts that the driver provides with each step of a login.
pub struct Known<'a> {
    /// The configuration.
    pub flow: &'a Flow,
    /// The provider's metadata.
    pub metadata: Option<&'a Metadata>,
    /// The login.
    pub pending: &'a Pending,
    /// The redirect URI, unless the app has chosen its port for this login.
    pub redirect_uri: &'a Url,
    /// The time by which claims are checked, in seconds since the Unix epoch.
    pub now_seconds: u64,
    /// True if APIs have access tokens of their own. The login's access token may then have only some of the scopes.
    pub has_targets: bool,
    /// Secrets of the driver, which the log must not contain. An empty string is not a secret.
    pub secrets: Vec<&'a str>,
    /// Creates the error for a token endpoint that did not respond, from its URL.
    pub no_response: fn(&str) -> Error,
}

/// The next step of a login.
#[derive(Debug)]
pub enum Step {
    /// Send this request, and pass the response to [`Completion::responded`]. A request for a profile contains the access
    /// token, and the first request the authorization code.
    Send(HttpRequest),
    /// Check the signature of [`Completion::id_token`], and pass the result to [`Completion::signature_checked`].
    CheckSignature,
    /// The user is known.
    Done(Box<Granted>),
    /// The login has failed.
    Failed(Box<Failed>),
}

/// The tokens of a known user.
#[derive(Debug)]
pub struct Granted {
    /// The tokens.
    pub tokens: Box<TokenSet>,
    /// The user to whom they were issued.
    pub user: Identity,
    /// Warnings about the granted scopes, about members that are not usable, and about a missing claim.
    pub warnings: Vec<Error>,
    /// True if the developer should be warned that there is no refresh token. False if the login was silent, and with
    /// `consent: 'always'`, which is what the warning would advise.
    pub lacks_refresh_token: bool,
    /// The end of that warning, if the metadata explain it.
    pub why_no_refresh_token: &'static str,
}

/// A login that has failed.
#[derive(Debug)]
pub struct Failed {
    /// The reason.
    pub error: Error,
    /// The provider's description of the error, for the log. It contains no secret.
    pub description: Option<String>,
    /// The tokens that were issued to this login.
    pub tokens: Option<Box<TokenSet>>,
    /// The options for a repetition, if the login has expired at the provider.
    pub repetition: Option<Box<LoginParams>>,
}

impl Failed {
    fn because(error: Error, tokens: Option<Box<TokenSet>>) -> Step {
        Step::Failed(Box::new(Self {
            error,
            description: None,
            tokens,
            repetition: None,
        }))
    }
}

/// A login whose authorization response has arrived.
#[derive(Debug)]
pub struct Completion(Stage);

#[derive(Debug, Default)]
enum Stage {
    Exchanging(Box<AuthorizationResponse>),
    Verifying(Box<TokenSet>, Evidence),
    /// Waits for the profile, which says who the user is.
    AskingProfile(Box<TokenSet>),
    /// Waits for the UserInfo response, which adds claims.
    AskingUserInfo(Box<Granted>),
    #[default]
    Over,
}

impl Completion {
    /// Begins with an authorization response.
    #[must_use]
    pub const fn new(authorization: Box<AuthorizationResponse>) -> Self {
        Self(Stage::Exchanging(authorization))
    }

    /// Begins with the tokens of a login on another device (RFC 8628).
    #[must_use]
    pub fn of_device(known: &Known<'_>, tokens: Box<TokenSet>) -> (Self, Step) {
        let mut completion = Self(Stage::Over);
        let step = completion.identify(known, tokens);
        (completion, step)
    }

    /// Returns the request of the current stage, to be sent for the first time or again.
    pub fn send(&mut self, known: &Known<'_>) -> Step {
        match self.request(known) {
            Ok(request) => Step::Send(request),
            Err(error) => match &self.0 {
                Stage::Exchanging(authorization) => {
                    let description = authorization.fault(&error, known.pending);
                    let failed = Failed {
                        description: description.and_then(|it| loggable(known, authorization, it)),
                        tokens: None,
                        repetition: authorization.to_repeat(&error, known.pending),
                        error,
                    };
                    Step::Failed(Box::new(failed))
                }
                _ => self.fail(error),
            },
        }
    }

    fn request(&self, known: &Known<'_>) -> Result<HttpRequest> {
        let Some(metadata) = known.metadata else {
            let why = msg!("there is no metadata");
            return Err(Error::new(Code::ProviderUnavailable, why));
        };
        let tokens = match &self.0 {
            Stage::Exchanging(authorization) => {
                let code = authorization.code(known.flow, known.pending, metadata)?;
                return Ok(token_endpoint::code_request(
                    &metadata.token_endpoint,
                    &known.flow.client_id,
                    known.pending.redirect_uri(known.redirect_uri).href(),
                    code,
                    &known.pending.code_verifier,
                    &known.flow.target,
                ));
            }
            Stage::AskingProfile(tokens) => tokens,
            Stage::AskingUserInfo(granted) => &granted.tokens,
            Stage::Verifying(..) | Stage::Over => return Err(over()),
        };
        match profile::address(known.flow, metadata)? {
            Some(address) => Ok(profile::request(address, &tokens.access_token)),
            None => Err(tokens.no_id_token()),
        }
    }

    /// Handles the response to the last request.
    pub fn responded(&mut self, known: &Known<'_>, outcome: &Outcome) -> Step {
        match core::mem::take(&mut self.0) {
            Stage::Exchanging(authorization) => match exchanged(known, outcome) {
                Ok(tokens) => self.identify(known, tokens),
                Err(error) => {
                    let description = error_description::of_response(outcome);
                    Step::Failed(Box::new(Failed {
                        error,
                        description: description
                            .and_then(|it| loggable(known, &authorization, &it)),
                        tokens: None,
                        repetition: None,
                    }))
                }
            },
            Stage::AskingProfile(mut tokens) => match profile::read(known.flow, outcome, &tokens) {
                Ok(claims) => {
                    tokens.identity = Some(claims);
                    self.conclude(known, tokens, Evidence::Members, true)
                }
                Err(error) => Failed::because(error, Some(tokens)),
            },
            Stage::AskingUserInfo(granted) => {
                let Granted { tokens, user, .. } = *granted;
                match profile::with_user_info(known.flow, outcome, &tokens, user) {
                    Ok(user) => Step::Done(Box::new(Granted {
                        tokens,
                        user,
                        ..*granted
                    })),
                    Err(error) => Failed::because(error, Some(tokens)),
                }
            }
            stage => {
                self.0 = stage;
                self.fail(over())
            }
        }
    }

    /// Begins to find out who the user is.
    fn identify(&mut self, known: &Known<'_>, tokens: Box<TokenSet>) -> Step {
        if known.flow.profile().is_some() {
            self.0 = Stage::AskingProfile(tokens);
            return self.send(known);
        }
        match Evidence::of(known.flow, known.metadata, &tokens) {
            Ok(evidence @ Evidence::IdToken(_)) => {
                self.0 = Stage::Verifying(tokens, evidence);
                Step::CheckSignature
            }
            Ok(Evidence::Members) => self.conclude(known, tokens, Evidence::Members, true),
            Err(error) => Failed::because(error, Some(tokens)),
        }
    }

    /// Returns the ID token whose signature is to be checked, if there is one.
    #[must_use]
    pub const fn id_token(&self) -> Option<&Unverified> {
        match &self.0 {
            Stage::Verifying(_, Evidence::IdToken(unverified)) => Some(unverified),
            _ => None,
        }
    }

    /// Handles the result of the check of the ID token's signature, or the reason why there is no key for it.
    pub fn signature_checked(&mut self, known: &Known<'_>, valid: Result<bool>) -> Step {
        match (core::mem::take(&mut self.0), valid) {
            (Stage::Verifying(tokens, evidence), Ok(valid)) => {
                self.conclude(known, tokens, evidence, valid)
            }
            (stage, valid) => {
                self.0 = stage;
                self.fail(valid.err().unwrap_or_else(over))
            }
        }
    }

    /// Decides whether the login succeeds. The scopes are checked before the UserInfo request, so that tokens with refused
    /// scopes are not used.
    fn conclude(
        &mut self,
        known: &Known<'_>,
        tokens: Box<TokenSet>,
        evidence: Evidence,
        valid: bool,
    ) -> Step {
        let Known { flow, pending, .. } = known;
        let occasion = if pending.is_device {
            Occasion::DeviceGrant
        } else {
            Occasion::CodeExchange {
                nonce: &pending.nonce,
                max_age_seconds: pending.max_age,
            }
        };
        let user = match evidence.user(flow, valid, known.now_seconds, &tokens, occasion) {
            Ok(user) => user,
            Err(rejected) => return Failed::because(rejected.into(), Some(tokens)),
        };
        let mut warnings = match check_granted(known, &tokens) {
            Ok(warnings) => warnings,
            Err(error) => return Failed::because(error, Some(tokens)),
        };
        warnings.extend(id_token::missing_claim_warning(&user, &flow.same_claims));
        let lacks_refresh_token =
            tokens.refresh_token.is_none() && !flow.asks_consent && !pending.is_silent;
        let requested = pending.requested_scope(flow);
        let is_unlisted = known
            .metadata
            .is_some_and(|metadata| !metadata.may_support_offline_access);
        let why_no_refresh_token = match is_unlisted && tokens.misses_refresh_token(requested) {
            true => msg!("; it does not list offline_access in its scopes_supported"),
            false => "",
        };
        let granted = Box::new(Granted {
            tokens,
            user,
            warnings,
            lacks_refresh_token,
            why_no_refresh_token,
        });
        if !flow.asks_user_info {
            return Step::Done(granted);
        }
        self.0 = Stage::AskingUserInfo(granted);
        self.send(known)
    }

    /// Ends the login with this error.
    pub fn fail(&mut self, error: Error) -> Step {
        let tokens = match core::mem::take(&mut self.0) {
            Stage::Verifying(tokens, _) | Stage::AskingProfile(tokens) => Some(tokens),
            Stage::AskingUserInfo(granted) => Some(granted.tokens),
            Stage::Exchanging(_) | Stage::Over => None,
        };
        Failed::because(error, tokens)
    }

    /// Ends the login with this error instead of taking `step`.
    pub fn cancel(&mut self, step: Step, error: Error) -> Step {
        match step {
            Step::Send(_) | Step::CheckSignature => self.fail(error),
            Step::Done(granted) => Failed::because(error, Some(granted.tokens)),
            Step::Failed(failed) => Step::Failed(Box::new(Failed {
                error,
                repetition: None,
                ..*failed
            })),
        }
    }
}

/// Returns the tokens in the response to a code exchange.
fn exchanged(known: &Known<'_>, outcome: &Outcome) -> Result<Box<TokenSet>> {
    match outcome {
        Outcome::Reply(reply) => {
            token_endpoint::read_code_exchange(reply, known.flow.wanted_tokens())
        }
        Outcome::KeyLost => Err(dpop::key_lost(Code::StorageUnavailable)),
        Outcome::Failed | Outcome::Opaque => {
            let endpoint = known.metadata.map_or("", |it| &it.token_endpoint);
            Err((known.no_response)(endpoint))
        }
    }
}

/// Compares the granted scopes with the scopes that the login requested. A script of the page can add scopes to a
/// request that is not pushed. Additional scopes do not prove such a change, because many providers grant scopes that
/// were not requested. Returns the warnings about scopes, and about members that are not usable.
///
/// # Errors
/// If the configuration refuses additional scopes: [`Code::ScopeExceeded`] if the provider granted some, and
/// [`Code::TokenResponseInvalid`] if the response does not say which scopes it granted.
fn check_granted(known: &Known<'_>, tokens: &TokenSet) -> Result<Vec<Error>> {
    let Known { flow, pending, .. } = known;
    let requested = pending.requested_scope(flow);
    let exceeded = tokens.scope_beyond(requested);
    if flow.refuses_unrequested_scopes
        && let Some(refused) = tokens.unusable_scope().or_else(|| exceeded.clone())
    {
        return Err(refused);
    }
    let reduced = tokens.scope_short_of(requested);
    let reduced = reduced.filter(|_| !known.has_targets);
    let warnings = [exceeded, reduced, tokens.warning()];
    Ok(warnings.into_iter().flatten().collect())
}

/// Returns the provider's description of an error for the log, unless it contains a secret of the login or of the driver.
fn loggable(
    known: &Known<'_>,
    authorization: &AuthorizationResponse,
    description: &Secret,
) -> Option<String> {
    let mut secrets = known.secrets.clone();
    secrets.extend(authorization.secrets());
    known.pending.loggable(description, &secrets)
}

/// Returns the error for a driver that passes a response or a result for which the login does not wait.
fn over() -> Error {
    Error::new(Code::LoginFailed, msg!("the login is over"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::tests::json_reply;
    use crate::config::Redirection;
    use crate::config::flow::tests::flow;
    use crate::login::authorization_request::tests::{begin, metadata, redirect_uri};

    const TOKENS: &str = r#"{"access_token":"access","token_type":"Bearer","refresh_token":"refresh","scope":"orders"}"#;

    /// Exchanges the code of a login with these options. Passes the step after the token response to `check`.
    fn exchange(
        options: &str,
        tokens: &str,
        check: impl FnOnce(&mut Completion, &Known<'_>, Step),
    ) {
        let flow = flow(
            &[
                r#"{"issuer":"https://id.test","scope":"orders""#,
                options,
                "}",
            ]
            .concat(),
        );
        let begun = begin(&flow, &LoginParams::default(), [7; 80]).unwrap();
        let uri = redirect_uri();
        let redirection = Redirection {
            uri: &uri,
            uses_fragment: false,
        };
        let response = [
            uri.href(),
            "?iss=https://id.test&code=the-code&state=",
            &begun.state,
        ]
        .concat();
        let response = AuthorizationResponse::parse(&flow, &redirection, &response).unwrap();
        let metadata = metadata();
        let known = Known {
            flow: &flow,
            metadata: Some(&metadata),
            pending: &begun.pending,
            redirect_uri: &uri,
            now_seconds: 0,
            has_targets: false,
            secrets: vec!["own secret"],
            no_response: |_| over(),
        };
        let mut completion = Completion::new(Box::new(response));
        let Step::Send(request) = completion.send(&known) else {
            panic!("no request");
        };
        assert!(request.access_token.is_none());
        let status = if tokens == TOKENS { 200 } else { 400 };
        let step = completion.responded(&known, &Outcome::from(json_reply(status, tokens)));
        check(&mut completion, &known, step);
    }

    #[test]
    fn login_that_ends_early_returns_its_tokens() {
        for (options, expected) in [
            (r#","identity":"none""#, "Done"),
            (
                r#","identity":{"url":"https://id.test/me","sub":"id"}"#,
                "Send",
            ),
        ] {
            exchange(options, TOKENS, |completion, _, step| {
                assert!(format!("{step:?}").starts_with(expected), "{step:?}");
                let Step::Failed(failed) = completion.cancel(step, over()) else {
                    panic!("not canceled");
                };
                let tokens = failed.tokens.unwrap();
                assert_eq!(tokens.refresh_token.unwrap().expose(), "refresh");
            });
        }
    }

    #[test]
    fn description_of_a_refused_code_is_logged_without_secrets() {
        for (description, is_logged) in [
            ("not known", true),
            ("own secret", false),
            ("the-code is not known", false),
        ] {
            let text = [
                r#"{"error":"invalid_grant","error_description":""#,
                description,
                r#""}"#,
            ]
            .concat();
            exchange(r#","identity":"none""#, &text, |_, _, step| {
                let Step::Failed(failed) = step else {
                    panic!("{step:?}");
                };
                assert_eq!(failed.error.code(), Code::CodeRejected);
                assert_eq!(failed.description.is_some(), is_logged, "{description}");
            });
        }
    }

    #[test]
    fn what_was_not_asked_for_fails_the_login() {
        exchange(r#","identity":"none""#, TOKENS, |completion, known, _| {
            let response = Outcome::from(json_reply(200, TOKENS));
            for step in [
                completion.responded(known, &response),
                completion.signature_checked(known, Ok(true)),
                completion.send(known),
            ] {
                assert!(matches!(step, Step::Failed(_)), "{step:?}");
            }
        });
    }
}
