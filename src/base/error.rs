//! One error type, one documented list of stable codes.
//!
//! An [`Error`] says what happened ([`Error::message`], with the value that was at fault but never a
//! secret), and what to do ([`Code::advice`]). Its [`Code`] is what programs match on: codes are
//! never renamed and never reused. `docs/errors.md` lists them all, and a test holds it to
//! [`Code::ALL`]. Codes that begin in the page or in the worker's wrapper are left out of the wasm.

use crate::base::strings;
use crate::prelude::*;
use core::fmt;

/// A result whose error is this crate's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $(#[cfg($cfg:meta)])? $variant:ident = $code:literal, $advice:literal;)+) => {
        /// The stable code of an [`Error`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $(#[cfg($cfg)])? $variant,)+
        }

        impl Code {
            /// Every code, in the order of `docs/errors.md`.
            pub const ALL: &'static [Self] = &[$($(#[cfg($cfg)])? Self::$variant,)+];

            /// The code as programs and the page see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                const CODES: &[&str] = &[$($(#[cfg($cfg)])? $code,)+];
                // One string, since a table of addresses compresses badly.
                const BYTES: [u8; strings::joined_len(CODES)] = strings::joined(CODES);
                const JOINED: &str = match core::str::from_utf8(&BYTES) {
                    Ok(text) => text,
                    Err(_) => unreachable!(),
                };
                strings::split(JOINED, b' ').nth(self as usize).unwrap_or_default()
            }

            /// What the reader of the error should do.
            #[cfg(not(feature = "interned-messages"))]
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $($(#[cfg($cfg)])? Self::$variant => $advice,)+ }
            }
        }

        // The page's file has the advice of all, under their codes.
        #[cfg(feature = "interned-messages")]
        const _: () = {
            $(embed_message!(concat!($code, "\n", $advice));)+
        };
    };
}

codes! {
    /// The configuration passed to `vault()` is wrong; nothing was started.
    ConfigInvalid = "config_invalid", "Mend the named option in the worker's file, and reload.";
    /// A message on a port was not one that the page's wrapper sends.
    MessageInvalid = "message_invalid", "Look at the options of the call; use the same version of strongroom in page and worker.";
    /// A documented limit on size or number was exceeded.
    LimitExceeded = "limit_exceeded", "Send less, or fewer at once; docs/errors.md lists the limits.";
    /// There is no session.
    LoginRequired = "login_required", "Call login().";
    /// The session ended while the call was waiting; the message gives the reason.
    SessionEnded = "session_ended", "Call login() again.";
    /// The provider wants the user to interact before it issues another token.
    InteractionRequired = "interaction_required", "Call login() so that the user can do what the provider asks.";
    /// The user, or the provider for them, refused the request at the authorization endpoint.
    LoginDenied = "login_denied", "Offer to sign in again.";
    /// The provider answered the authorization request with another error.
    LoginFailed = "login_failed", "Look that error code up; most often the scope or the client's registration is at fault.";
    /// The provider granted scopes that the login did not ask for.
    ScopeExceeded = "scope_exceeded", "Add the scopes to scope if the provider always grants them; else find out what changed the request.";
    /// `offline_access` was requested, and the provider issued no refresh token.
    RefreshTokenMissing = "refresh_token_missing", "Set consent: 'always' if the provider issues refresh tokens only then; else allow refresh tokens for this client at the provider.";
    /// The provider announces pushed authorization requests (RFC 9126) and does not let this client use them.
    LoginNotPushed = "login_not_pushed", "Allow pushed requests for this client and origin at the provider, or set par: false.";
    /// The callback's `state` belongs to no login that was begun here.
    LoginUnknown = "login_unknown", "Begin with login(); a callback URL cannot be opened by hand or in another browser.";
    /// The callback URL was opened a second time.
    LoginReplayed = "login_replayed", "Nothing to do if the first opening succeeded; otherwise call login() again.";
    /// More than ten minutes passed between `login()` and its callback.
    LoginExpired = "login_expired", "Call login() again.";
    /// The login was given up by the page or replaced by another one, or somebody logged out while it
    /// was under way.
    LoginCanceled = "login_canceled", "Offer to sign in again.";
    /// The callback's parameters contradict each other or are malformed.
    CallbackInvalid = "callback_invalid", "Call login() again; if it happens each time, look at the provider's answer.";
    /// The page that called `handleCallback()` is not the configured `redirectUri`.
    RedirectUriMismatch = "redirect_uri_mismatch", "Set redirectUri to the address at which the provider answers, and register that.";
    /// An answer came from another issuer than the one configured (RFC 9207, OIDC Discovery).
    IssuerMismatch = "issuer_mismatch", "Set issuer to exactly what the provider's metadata says.";
    /// The provider could not be reached, or answered with a passing fault.
    ProviderUnavailable = "provider_unavailable", "Check issuer and the worker's connect-src if it never worked; else try again later.";
    /// The provider's metadata or keys are unusable.
    MetadataInvalid = "metadata_invalid", "Look at the provider's discovery document, or configure metadata yourself.";
    /// The token endpoint's answer is unusable.
    TokenResponseInvalid = "token_response_invalid", "Look at the provider's token endpoint; no token was kept.";
    /// The token endpoint refused this client or its request.
    ClientRejected = "client_rejected", "Compare clientId, scope and the client's registration at the provider.";
    /// The authorization code was refused.
    CodeRejected = "code_rejected", "Call login() again.";
    /// The ID token failed validation (OIDC Core 3.1.3.7 or 12.2).
    IdTokenInvalid = "id_token_invalid", "Compare issuer, clientId and the signing algorithm; check the device's clock.";
    /// The URL matches no rule in `apis`.
    UrlNotAllowed = "url_not_allowed", "Add a rule for it to apis in the worker's file, if the page should reach it; a worker that runs keeps its old file.";
    /// The URL matches a rule, but not with this method.
    MethodNotAllowed = "method_not_allowed", "Add the method to the rule's methods in the worker's file; a worker that runs keeps its old file.";
    /// The page may not set this header.
    HeaderNotAllowed = "header_not_allowed", "Leave the header out; the vault sets what authorises the request.";
    /// The API wants the user to authenticate in another way, or more recently (RFC 9470).
    #[cfg(feature = "extended")]
    StepUpRequired = "step_up_required", "Ask the user, then call the error's stepUp(), or login() with its login.";
    /// The API wants a token of more scope (RFC 6750 3.1).
    #[cfg(feature = "extended")]
    InsufficientScope = "insufficient_scope", "Ask the user, then call the error's stepUp(); if it has none, add the scope to loginScopes in the worker's file.";
    /// The API refuses with the same words what the user has just signed in for.
    #[cfg(feature = "extended")]
    StepUpFailed = "step_up_failed", "Another login is of no use: compare what the provider issues with what the API wants.";
    /// The worker's own Content-Security-Policy blocks a socket whose address would contain the token, or reports it.
    #[cfg(feature = "extended")]
    SocketBlocked = "socket_blocked", "Add the address to connect-src in each policy that the worker's file is served with, including report-only ones.";
    /// The API answered with a redirect, which is not followed with a token.
    RedirectBlocked = "redirect_blocked", "Call the final address.";
    /// The API's answer has the access token in it that its request was sent with.
    TokenReflected = "token_reflected", "Mend the API: it must not send back what authorised a request. Where it must, set reflection in its rule.";
    /// The request needs something that this version or browser cannot do.
    Unsupported = "unsupported", "Change what the message names, or do without.";
    /// The browser's storage refused to keep what must survive.
    StorageUnavailable = "storage_unavailable", "Allow storage for this site, or use login({ mode: 'popup' }).";
    /// A request that only script of the app may send is from elsewhere.
    #[cfg(feature = "edge")]
    CrossSiteRequest = "cross_site_request", "Send it with auth.fetch(), or with the header X-Strongroom: 1, from a page of the app's own origin.";
    /// A cookie of the handler's is not what the handler wrote.
    #[cfg(feature = "edge")]
    CookieInvalid = "cookie_invalid", "Nothing, if it is rare: it counts as none. If it is not, look for another app on the same host with the same cookie.name.";
    /// Something is sealed with a key that is not configured.
    #[cfg(feature = "edge")]
    KeyUnknown = "key_unknown", "Keep a replaced key at the end of cookie.keys for as long as session.absolute.";
    /// The coordinator cannot be reached or does not keep what it is given.
    #[cfg(feature = "edge")]
    CoordinatorUnavailable = "coordinator_unavailable", "Look at the coordinator: sessions are kept, but none can be refreshed without it.";
    /// A session's cookie came that had been replaced long before.
    #[cfg(feature = "edge")]
    SessionReplayed = "session_replayed", "Find out how a copy of the cookie got out: the session was ended everywhere.";
    /// A logout token is not acceptable (OpenID Connect Back-Channel Logout 1.0 section 2.6).
    #[cfg(feature = "edge")]
    LogoutTokenInvalid = "logout_token_invalid", "Compare issuer and client.id with the provider's; if it is forged, nothing happened.";
    /// An upstream did not answer.
    #[cfg(feature = "edge")]
    UpstreamUnavailable = "upstream_unavailable", "Look at the route's upstream.";
    /// Nobody signed in within the login's time limit.
    #[cfg(not(target_arch = "wasm32"))]
    Timeout = "timeout", "Try again.";
    /// The worker's script could not be loaded, or threw before it called `vault()`.
    #[cfg(not(target_arch = "wasm32"))]
    WorkerFailed = "worker_failed", "Fix what the message names; check the worker's URL, those of its imports, its type 'module', and the page's worker-src.";
    /// The worker did not answer the handshake in time.
    #[cfg(not(target_arch = "wasm32"))]
    WorkerTimeout = "worker_timeout", "Check the worker's URL and its console; its file must call vault().";
    /// The vault's frame was not shown, or something else than a vault's frame was.
    #[cfg(not(target_arch = "wasm32"))]
    FrameBlocked = "frame_blocked", "Look at the console; compare the page's frame-src and the frame's frame-ancestors, Cross-Origin-Embedder-Policy and Cross-Origin-Resource-Policy with docs/vault-origin.md.";
    /// Nothing came from the address of the vault's frame in time.
    #[cfg(not(target_arch = "wasm32"))]
    FrameTimeout = "frame_timeout", "Open the frame's address by itself; if it is there, try again later.";
    /// The vault's frame does not serve pages of this origin.
    #[cfg(not(target_arch = "wasm32"))]
    OriginNotAllowed = "origin_not_allowed", "Add the origin to apps in the frame's file, exactly as the message has it, if it is an app of yours.";
    /// The WebAssembly module could not be fetched.
    #[cfg(not(target_arch = "wasm32"))]
    WasmFailed = "wasm_failed", "Serve strongroom_bg.wasm beside the worker (strongroom_extended_bg.wasm, where the configuration asks for what only that can do), or pass its URL as vault(config, { wasm }); its connect-src must allow 'self'.";
    /// The worker's own Content-Security-Policy forbids WebAssembly.
    #[cfg(not(target_arch = "wasm32"))]
    WasmBlocked = "wasm_blocked", "Add 'wasm-unsafe-eval' to script-src in the policy that the worker's file is served with.";
    /// The vault stopped because of a fault of its own, or its worker was ended; its secrets are gone.
    #[cfg(not(target_arch = "wasm32"))]
    VaultCrashed = "vault_crashed", "Call reconnect(), or reload the page; if the core trapped, please report it.";
    /// Somebody signed in in a newer version of the app, and the vault of this version has stopped.
    #[cfg(not(target_arch = "wasm32"))]
    VaultOutdated = "vault_outdated", "Call reconnect(), or reload the page to get the newer version.";
    /// The browser blocked the popup window.
    #[cfg(not(target_arch = "wasm32"))]
    PopupBlocked = "popup_blocked", "Call login({ mode: 'popup' }) directly in a click handler, or use mode 'redirect'.";
    /// The page was left while this was under way, and came back from the back-forward cache.
    #[cfg(not(target_arch = "wasm32"))]
    PageLeft = "page_left", "Try again.";
    /// The token handler did not answer, or what answered is none.
    #[cfg(not(target_arch = "wasm32"))]
    HandlerUnreachable = "handler_unreachable", "Look at the path that was passed to connect(), and at the handler's log.";
    /// The client was closed by `close()`.
    #[cfg(not(target_arch = "wasm32"))]
    Closed = "closed", "Call connect() again.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong: a [`Code`] for programs and a message for people.
///
/// One pointer wide, so that a `Result` of it is returned in a register: it is in the signature of
/// most functions here, and the browser downloads each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Fault>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    code: Code,
    message: String,
}

impl Error {
    /// An error with `code`; `message` says what happened and with which value. Never a secret.
    #[must_use]
    #[inline(never)]
    pub fn new(code: Code, message: &str) -> Self {
        Self::of(code, &[message])
    }

    /// The same, of the parts of a message.
    #[must_use]
    #[inline(never)]
    pub fn of(code: Code, message: &[&str]) -> Self {
        let message = message.concat();
        Self(Box::new(Fault { code, message }))
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What happened, in a sentence without a full stop.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().as_str())?;
        f.write_str(": ")?;
        f.write_str(self.message())?;
        #[cfg(not(feature = "interned-messages"))]
        {
            f.write_str(". ")?;
            f.write_str(self.code().advice())?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

/// A text from outside, made fit to stand in a message: in quotes, cut after 60 characters, with a
/// `?` for each that is not printable ASCII. Never for a secret.
#[must_use]
pub(crate) fn quote(text: &str) -> String {
    ["'", &short(text), "'"].concat()
}

/// Quotes a URL as `quote` does, but cuts it only after 2,000 characters, since a URL is of use only as a whole.
#[must_use]
pub(crate) fn quote_url(url: &str) -> String {
    ["'", &printable(url, 2000), "'"].concat()
}

/// Shortens text as `quote` does, without the quotes.
#[must_use]
pub(crate) fn short(text: &str) -> String {
    printable(text, 60)
}

#[inline(never)]
fn printable(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == longest {
            out.push_str("...");
            break;
        }
        out.push(if matches!(c, ' '..='~') { c } else { '?' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_short_and_printable() {
        assert_eq!(quote("https://id.test"), "'https://id.test'");
        assert_eq!(quote("a\r\n\0\u{202e}é"), "'a?????'");
        assert_eq!(quote(&"a".repeat(60)), format!("'{}'", "a".repeat(60)));
        assert_eq!(quote(&"é".repeat(9000)), format!("'{}...'", "?".repeat(60)));
        let url = format!("https://id.test/{}", "a".repeat(500));
        assert_eq!(quote_url(&url), format!("'{url}'"));
        assert_eq!(quote_url(&"a".repeat(9000)).len(), 2005);
    }

    #[test]
    fn codes_are_unique_snake_case_and_come_with_advice() {
        let mut seen: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(code.advice().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn an_error_reads_as_what_happened_and_what_to_do() {
        let error = Error::new(Code::LoginRequired, "there is no session");
        assert_eq!(
            error.to_string(),
            "login_required: there is no session. Call login()."
        );
    }
}
