//! The error type, and the documented list of stable codes.
//!
//! An [`Error`] has a message that says what happened ([`Error::message`]), and advice ([`Code::advice`]). The message
//! quotes the invalid value, unless the value may be a secret. Programs match on the [`Code`]. A released code is never
//! renamed or reused. `docs/errors.md` lists all codes, and a test compares that list with [`Code::ALL`].

use crate::base::messages::ARE_INTERNED;
use crate::base::strings;
use crate::prelude::*;
use core::fmt;

/// A result whose error is this crate's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;

macro_rules! codes {
    ($($(section $section:literal;)? $(#[doc = $doc:literal])+ $variant:ident = $code:literal, $advice:literal;)+) => {
        /// The stable code of an [`Error`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of `docs/errors.md`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the code as a string, for programs and the page.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// Returns the advice: what the developer can do about the error.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }

        // The file of error messages, which pages download, also contains the advice for each code.
        const _: () = {
            $(embed_message!(concat!($code, "\n", $advice));)+
        };
    };
}

codes! {
    section "Configuration";
    /// The configuration that was passed to `vault()`, `createTokenHandler()`, `vaultFrame()`, `vaultCallback()`, a
    /// coordinator such as `redis()` or a function of `strongroom/headers` is wrong; nothing was started. Or
    /// `strongroom.json` is wrong. Or a file called `vault()` or `vaultFrame()` twice; a second `vault()` also ends the
    /// first vault. As a warning in the token handler's log: a key is for tests, and the app is served over https; or an
    /// adapter is mounted at the handler's `base`, so that the app's pages get no session.
    ConfigInvalid = "config_invalid", "Fix what the message names, and start again.";
    /// A message on a port was not from strongroom's code in the page, or page and worker have different versions of
    /// strongroom. Or a call had an unknown option, an option of the wrong type or a value that is not allowed. Or
    /// `on()` was passed the name of an unknown event.
    MessageInvalid = "message_invalid", "Check the options of the call, and use the same version of strongroom in page and worker.";
    /// A documented limit on size or number was exceeded. In the token handler's log also a warning: a session needs two
    /// cookies, which proxies may refuse ([edge-operate.md](edge-operate.md#limits-of-headers)), or [the process stood
    /// still](edge-operate.md#a-process-that-stands-still); or an error: a request was put off because of that, all handlers of `tenants()` are in
    /// use, or its `create` is too slow ([edge-tenants.md](edge-tenants.md#the-options)).
    LimitExceeded = "limit_exceeded", "If the message names no option, send less, or fewer at once; docs/errors.md#limits has the limits. In the handler's log: give the process more processor time, or fewer requests.";
    /// The request needs something that this version, the platform, the provider or the configuration does not support.
    Unsupported = "unsupported", "Change what the message names, or do not use it.";
    /// The browser's storage refused to store a login, or no longer has the DPoP key of a login.
    StorageUnavailable = "storage_unavailable", "Allow storage for this site and begin the login again, or use login({ mode: 'popup' }).";

    section "Sessions";
    /// There is no session.
    LoginRequired = "login_required", "Call login().";
    /// The session ended, or another user signed in, while the call was waiting. Over a token handler: the session of
    /// the request's cookie has ended, or the session of a popup login is not there after the login. The message gives the
    /// reason. In the handler's log: the coordinator has lost a session's record (`storage_lost`), or, with the level
    /// `info`, `handler.end()` has ended sessions.
    SessionEnded = "session_ended", "If there is no session, call login().";
    /// The provider wants the user to interact before it issues a token (also in response to a login without
    /// interaction), or keeps refusing the refresh token without a reason
    /// ([sessions.md](sessions.md#a-refusal-without-a-reason)).
    InteractionRequired = "interaction_required", "Call login() so that the user can do what the provider asks.";
    /// The session is bound to a key of the browser, and the request had no valid bound cookie
    /// ([edge-bound.md](edge-bound.md)). The session continues in the browser that has the key.
    BoundCookieMissing = "bound_cookie_missing", "If this is the user's own browser, call login().";
    /// The browser could not renew the bound cookie of its session, because the token handler could not be
    /// reached or failed.
    RenewalFailed = "renewal_failed", "Try again later.";

    section "Signing in";
    /// The user, or the provider for the user, refused the login (`access_denied`, or `consent_required` in response to
    /// a login that was not silent).
    LoginDenied = "login_denied", "Offer to sign in again.";
    /// The provider responded to the authorization request, or to the pushed request, with an error that has no code of
    /// its own. Or its response to a pushed request or to a device authorization request was malformed. Or the
    /// provider requires pushed requests and did not accept one. In the token handler's log also: more than 20 logins have
    /// begun in ten minutes or longer, and none has come back from the provider.
    LoginFailed = "login_failed", "If the message has an error code of the provider, look it up; most often the scope, the resource or the redirect URI is not registered for this client.";
    /// The page canceled the login, or another login replaced it. Or the user closed the popup, returned from the
    /// provider by the browser's back button, or logged out while the login was in flight.
    LoginCanceled = "login_canceled", "Offer to sign in again.";
    /// More than ten minutes passed between `login()` and its callback. Or the code of a login on another device
    /// expired. Or the login expired at the provider (Keycloak's `authentication_expired`), for the second time or where
    /// it cannot be repeated ([Keycloak](providers/keycloak.md#signing-in)). Or the login seems to begin in the future,
    /// because a clock was set back or the clocks of isolates differ by more than a minute. The message names the case.
    LoginExpired = "login_expired", "Call login() again.";
    /// The callback's `state` belongs to no login that began in this browser, or the option `dpop` has changed since
    /// the login began. Or the `state` belongs to another account or client of the app, and no client of the page has taken
    /// the response within three seconds. Over a token handler also: the browser blocks cookies, or signing in took longer
    /// than ten minutes, after which the browser deletes the cookie of the login.
    LoginUnknown = "login_unknown", "Call login(); a response is accepted only in the browser, and with the option dpop, with which its login began.";
    /// The callback URL was opened a second time, while no user was signed in.
    LoginReplayed = "login_replayed", "Nothing to do if the first opening succeeded; otherwise call login() again.";
    /// The user did not sign in within the login's time limit.
    Timeout = "timeout", "Try again.";
    /// The browser blocked the popup window.
    PopupBlocked = "popup_blocked", "Call login({ mode: 'popup' }) directly in a click handler, or use mode 'redirect'.";
    /// The callback's parameters are missing or malformed, or they contradict each other.
    CallbackInvalid = "callback_invalid", "Call login() again; if it happens each time, check the provider's response.";
    /// The page that called `handleCallback()` is not the configured `redirectUri`. If a page of the provider reports a redirect
    /// URI mismatch, [the URI is not registered](debugging.md#symptoms) in exactly this spelling.
    RedirectUriMismatch = "redirect_uri_mismatch", "Set redirectUri to the URL that the provider redirects to, and register that URL.";
    /// A warning: the provider announces pushed authorization requests (RFC 9126), but does not accept them from this
    /// client or origin, so script can change the request.
    LoginNotPushed = "login_not_pushed", "Check clientId and redirectUri, and allow pushed requests for this client and origin at the provider, or set par: false.";
    /// A warning: the provider issued no refresh token, or one that is not usable, so that the session ends with its access
    /// token. A login that loses the previous session's refresh token always causes it. Otherwise there is no warning about a
    /// login with `consent: 'always'` or without interaction, or, over a token handler or without OpenID Connect, if the
    /// login did not request `offline_access`. Some providers issue refresh tokens to a [token handler](edge.md) only.
    RefreshTokenMissing = "refresh_token_missing", "If the message names a flaw, check the token endpoint; otherwise request offline_access, set consent: 'always' if the provider issues refresh tokens only then, or allow refresh tokens for this client at the provider.";
    /// The provider granted scopes that the login did not request. With `unrequestedScopes: 'refuse'` the login fails.
    /// Otherwise this is a warning, which appears once on the page's console or in the token handler's log, there also
    /// if a refresh adds scopes.
    ScopeExceeded = "scope_exceeded", "Add the scopes to scope if the provider always grants them; otherwise find out what changed the request.";
    /// A warning: the provider granted fewer scopes than the login requested, so APIs may refuse calls. Appears once on the
    /// page's console, or in the token handler's log. There is no warning about `openid`, `profile`, `email`, `address`,
    /// `phone` and `offline_access`, which providers rename or leave out.
    ScopeReduced = "scope_reduced", "The user is signed in. Separate scopes by spaces, check their names, and allow them for this client and user at the provider.";
    /// The provider did not ask the user to sign in again, although the login requested it with `maxAge`: by the provider's
    /// own clock, the user signed in longer ago than the login allows. The device's clock is not the reason. Also a
    /// warning: a login with `prompt: 'login'` or `maxAge` brought the `auth_time` of the previous session. If `claims`
    /// names `auth_time`, pages can compare it.
    SignInNotRepeated = "sign_in_not_repeated", "Find out if the provider supports max_age and prompt=login (OIDC Core 3.1.2.1): some providers ignore one or both.";
    /// A warning: the ID token of a login lacks a claim that `sameClaims` names. Refreshes of this session do not compare this
    /// claim. Appears once on the page's console, or in the token handler's log. A guard also has this code when it refuses a
    /// user because a claim is missing, is not verified or has no allowed value. The handler's log then names the guard and
    /// the claim, at most once a minute for each.
    ClaimMissing = "claim_missing", "For a guard, compare the claim that the log names with `allow`. Otherwise let the provider add the claim to ID tokens, also at a refresh, or sign in with the parameter or scope that it needs for the claim.";
    /// With `accounts`: another user signed in, in an account that has a session. The session continues, and the tokens of the
    /// login were not kept.
    AccountInUse = "account_in_use", "Choose a free account, or log out of this one first. To prevent the error, pass the `loginHint` of the account's user to `login()`. See docs/accounts.md.";
    /// The profile address (`identity.url`), or with `userInfo` the provider's UserInfo endpoint, did not say who the user
    /// is, or named another user than the ID token. The message says why.
    ProfileFailed = "profile_failed", "Check the address and the member that the message names, and that the server accepts the token, and the app's origin (CORS).";

    section "The provider";
    /// A response, the metadata or an ID token came from an issuer other than the configured one (RFC 9207, OIDC
    /// Discovery), or another site began a login with another `iss` than the configured issuer, or the login began before the
    /// option `issuer` was changed.
    IssuerMismatch = "issuer_mismatch", "Compare issuer with the value in the provider's metadata; if they are equal, begin the login again.";
    /// The provider could not be reached, responded with a temporary error, or sent a response that CORS hides.
    ProviderUnavailable = "provider_unavailable", "If it never worked, check issuer, and in a browser the worker's connect-src; otherwise try again later.";
    /// The provider's metadata or keys are unusable. Also a warning: the message names members of the metadata that are not
    /// usable. They were ignored, because no login needs them.
    MetadataInvalid = "metadata_invalid", "Check the provider's discovery document, or configure metadata yourself.";
    /// A warning: the pinned metadata (`pinned`) are not usable, or differ from those that the provider publishes now. The
    /// message names the members. The vault works with the provider's own document.
    MetadataOutdated = "metadata_outdated", "Run npx strongroom metadata --out FILE, and deploy the result: until then, the worker's headers block hosts that are new.";
    /// The token endpoint, or the endpoint for pushed or device authorization requests, refused this client or its
    /// request. Over a token handler the client authenticates by `client.auth`.
    ClientRejected = "client_rejected", "Compare clientId, scope, resource and the client's registration at the provider. If it concerns one API only, sign in again: the session may be older than that scope or resource.";
    /// The token endpoint refused the authorization code, or the device code of a login on another device
    /// (`invalid_grant`).
    CodeRejected = "code_rejected", "Call login() again.";
    /// The token endpoint's response is unusable. Also a warning: the message names members of a token response that are
    /// not usable, and that were therefore ignored ([sessions.md](sessions.md#a-response-with-flaws)).
    TokenResponseInvalid = "token_response_invalid", "Check the provider's token endpoint.";
    /// The ID token failed validation (OIDC Core 3.1.3.7 or 12.2).
    IdTokenInvalid = "id_token_invalid", "Check what the message names; often issuer, clientId, the signing algorithm or the device's clock is wrong.";

    section "Calls to APIs";
    /// The URL matches no rule in `apis`; over a token handler, the URL matches no route. Or no rule can allow the URL:
    /// it is an endpoint of the provider, is not absolute, has a user name, or has a path that servers decode in
    /// different ways. For a socket, the matching rule lacks `webSocket`, or the URL has the query parameter that is
    /// reserved for the token. The message names the case.
    UrlNotAllowed = "url_not_allowed", "If the message names a fault of the URL, change the URL; otherwise add a rule to apis in the worker file (a running worker keeps the old file).";
    /// The URL is allowed with other methods, but not with this method.
    MethodNotAllowed = "method_not_allowed", "Add the method to the rule's methods in the worker file; a running worker keeps the old file.";
    /// The page may not set this header.
    HeaderNotAllowed = "header_not_allowed", "Leave the header out; the vault sets the headers that authorize the request.";
    /// The API responded with a redirect, which the vault and the token handler do not follow. The token handler's log
    /// says where it leads; browsers do not tell.
    RedirectBlocked = "redirect_blocked", "Call the final URL.";
    /// The API's response contains one of the session's access tokens.
    TokenReflected = "token_reflected", "Fix the API: it must not return the token of a request. If it has to, set reflection in its rule.";
    /// The API requires another or a more recent authentication of the user (RFC 9470), and its rule has `stepUp`.
    StepUpRequired = "step_up_required", "Ask the user, then call the error's stepUp(), or login() with its login.";
    /// The API requires a token with more scope (RFC 6750 3.1), and its rule has `stepUp`.
    InsufficientScope = "insufficient_scope", "Ask the user, then call the error's stepUp(); if it has none, add the scope to loginScopes in the worker file.";
    /// The API repeats a challenge for which the user has signed in within the last minute.
    StepUpFailed = "step_up_failed", "Compare the tokens that the provider issues with what the API requires; another login does not help.";
    /// The worker's own Content-Security-Policy blocks or reports a socket whose URL would contain the token
    /// ([event-sources-and-sockets.md](event-sources-and-sockets.md#a-token-in-the-query)).
    SocketBlocked = "socket_blocked", "Add the URL to connect-src in each policy that the worker file is served with, including report-only ones.";
    /// A warning to the developer, with an app on loopback: the API has responded with 401 to an access token that was
    /// issued a moment ago. The message has the error of the API, if the API's CORS headers let it be read. Over a token
    /// handler, the warning is in the handler's log.
    TokenRefused = "token_refused", "Compare the token's audience, issuer and scope with what the API expects; to read its reason, let it expose WWW-Authenticate by CORS.";
    /// A warning to the developer, with an app on loopback: no call to this API has got a response. The API cannot be
    /// reached, or the browser hides its responses.
    ApiUnreachable = "api_unreachable", "If the API runs, check its CORS headers (Access-Control-Allow-Origin, and Access-Control-Allow-Headers: authorization, also in responses to OPTIONS), and connect-src in the policy of the worker's file.";
    /// An element of the page asked for a part of a file ([media.md](media.md)), and the browser hides from scripts which
    /// part the API has sent. With an app on loopback, the console also shows it.
    RangeHidden = "range_hidden", "Let the API expose its ranges by CORS: Access-Control-Expose-Headers: Content-Range, Accept-Ranges.";
    /// A file could not be downloaded ([media.md](media.md#downloads)). The message has the reason.
    DownloadFailed = "download_failed", "Read the message; the code in it, if there is one, says more.";
    /// The user left the page while the call was in flight, and the page has returned from the back-forward cache; or
    /// script of the page's origin has stolen the page's lock, and the page has connected again. A request that was sent
    /// may have taken effect.
    PageLeft = "page_left", "Find out if the request has taken effect before you send it again.";

    section "The worker and its files";
    /// The worker's script could not be loaded, or threw before it called `vault()`; the message names the cause
    /// ([below](#when-the-worker-does-not-start)).
    WorkerFailed = "worker_failed", "Fix what the message names; check the URLs of the worker and its imports, its type 'module', and the page's worker-src.";
    /// The worker did not respond to the handshake within the time limit of `connect()`.
    WorkerTimeout = "worker_timeout", "Check the worker's URL and its console; its file must call vault().";
    /// The WebAssembly module could not be loaded.
    WasmFailed = "wasm_failed", "Serve strongroom_bg.wasm beside the worker, or pass its URL as vault(config, { wasm }); the worker's connect-src must allow 'self'.";
    /// The Content-Security-Policy of the worker forbids WebAssembly, or that of a page with
    /// [`strongroom/testing`](testing-your-app.md), whose message has another fix.
    WasmBlocked = "wasm_blocked", "Add 'wasm-unsafe-eval' to script-src in the policy that the worker file is served with.";
    /// The browser runs no WebAssembly: Safari in Lockdown Mode, Firefox with the policy `DisableJit` or without
    /// `javascript.options.wasm`, or Chromium without JIT compilation ([fallback.md](fallback.md)).
    WasmMissing = "wasm_missing", "The user can exclude this site from Lockdown Mode, or use another browser (on iPhone and iPad, another device), and an administrator can exempt the site from a policy; an app with a server can set fallback in createAuth().";
    /// The [standalone worker](standalone.md) could not fetch `strongroom.json`; the message says why.
    ConfigUnavailable = "config_unavailable", "Serve strongroom.json beside the standalone worker as application/json, without a redirect; the worker's connect-src must allow 'self'.";
    /// The vault stopped because of an internal error, or its worker was terminated. The secrets in the vault's memory
    /// are gone. Or script of the page's origin has stolen the page's lock four times in a minute, and the page does not
    /// connect again by itself; the vault continues.
    VaultCrashed = "vault_crashed", "Call reconnect(), or reload the page; if the core trapped, please report it.";
    /// A user signed in in a newer version of the app, and the vault of this version has stopped
    /// ([deployment.md](deployment.md#a-new-deployment-while-tabs-are-open)).
    VaultOutdated = "vault_outdated", "Call reconnect(), or reload the page to get the newer version.";
    /// The client was closed by `close()`.
    Closed = "closed", "Call connect() again.";
    /// The vault's frame did not load, or another document loaded in its place.
    FrameBlocked = "frame_blocked", "Check the console; compare the page's frame-src and the frame's frame-ancestors, Cross-Origin-Embedder-Policy and Cross-Origin-Resource-Policy with docs/vault-origin.md.";
    /// The vault's frame did not respond within the time limit of `connectFrame()`.
    FrameTimeout = "frame_timeout", "Open the frame's URL in a tab; if it loads, try again later.";
    /// The vault's frame does not serve pages of this origin.
    OriginNotAllowed = "origin_not_allowed", "Add the origin to apps in the frame's file, exactly as in the message, if it is one of your apps.";

    section "The token handler";
    /// The token handler refused a request that the app's own pages do not send in this way. The message names the
    /// case: a request of script has no header `X-Strongroom`; its `Origin` is not the app's, or its `Sec-Fetch-Site`
    /// is not `same-origin` (other origins of the same site are refused, too); a form or a WebSocket handshake has no
    /// `Origin`; a window requested an address that is only for scripts, or a script requested an address that is only
    /// for windows; the browser would use the response as a document or as code (`Sec-Fetch-Dest`); a route with `media`
    /// was requested without the header, and not by an element of the app's own pages, but by another site, a prefetch or
    /// a browser without Fetch Metadata ([media.md](media.md#with-a-token-handler)); or server code may only read for this
    /// request ([server-code.md](server-code.md#rules)).
    CrossSiteRequest = "cross_site_request", "Send it with auth.fetch(), or with the header X-Strongroom: 1, from a page of the app's own origin.";
    /// The request's host matches no entry of the token handler's option `origin`. The response has status 421, and sets
    /// and clears no cookie. It names the host, and the log has a line once a minute
    /// ([edge-deploy.md](edge-deploy.md#several-origins)).
    HostNotAllowed = "host_not_allowed", "Add the origin to origin, if it is yours; otherwise let the proxy pass the browser's Host on, and refuse other hosts.";
    /// In the token handler's log: the handler did not write this cookie, it was changed, or another version of the handler
    /// has written it. Reported once a minute, with the number of further cases.
    CookieInvalid = "cookie_invalid", "Ignore rare cases, since the cookie is not used. Otherwise look for another app on the same host with the same cookie.name, or deploy the same version everywhere.";
    /// In the token handler's log: a request had a session cookie that was replaced longer ago than the grace period.
    SessionReplayed = "session_replayed", "Find out how a copy of the cookie leaked: the session was ended everywhere.";
    /// A cookie or a session's record is sealed with a key that is not configured. The code is in the token handler's
    /// log, and for a record also in the response with 503 ([edge-operate.md](edge-operate.md#replace-a-key)). A key was
    /// removed too early, or two apps on one host have the same `cookie.name` and sign each other's users out: all ports of a
    /// host, such as localhost, share its cookies.
    KeyUnknown = "key_unknown", "Keep a replaced key at the end of cookie.keys for as long as session.absolute, and give each app on a host, also at another port, its own cookie.name.";
    /// The token handler's coordinator cannot be reached, does not store what the handler writes, or has a value that another
    /// version of the handler has written.
    CoordinatorUnavailable = "coordinator_unavailable", "Check the coordinator: sessions are kept, but cannot be refreshed without it.";
    /// In the token handler's log, at most once an hour: this machine's clock differs by five seconds or more from the
    /// coordinator's or the provider's ([edge-operate.md](edge-operate.md#clocks-of-several-machines)).
    ClockDiffers = "clock_differs", "Synchronize the clock of this machine, for example with NTP.";
    /// A route's upstream did not respond, broke off its response, or used a `Content-Encoding` that the token handler
    /// cannot search. Or the `Content-Type` of its response does not fit the element that requested it from a route with
    /// `media`.
    UpstreamUnavailable = "upstream_unavailable", "Check the route's upstream.";
    /// A back-channel logout token is not acceptable (OpenID Connect Back-Channel Logout 1.0, 2.6). Logged once a minute,
    /// with the number of further cases; tokens that the provider did not sign are counted apart.
    LogoutTokenInvalid = "logout_token_invalid", "Compare issuer and client.id with the provider's; a forged token has no effect.";
    /// The token handler did not respond, or the response is not from a token handler.
    HandlerUnreachable = "handler_unreachable", "Check the path that was passed to connect() or createAuth(), the page's connect-src, and the handler's log.";
    /// The app's own page was served for an address of the token handler, such as `/auth/login`: by a service worker of
    /// the app, or by a server that sends the app's page for every address
    /// ([edge-page.md](edge-page.md#the-apps-page-in-place-of-the-handler)).
    ShellServed = "shell_served", "Exclude the handler's addresses from the service worker's navigations and from the server's rewrites; docs/edge-page.md#the-apps-page-in-place-of-the-handler has the settings.";
    /// In the token handler's log: the handler could not start, for a reason other than its configuration. Requests get
    /// 500. Or `select` or `create` of `tenants()` failed, and requests get 503 ([edge-tenants.md](edge-tenants.md)).
    HandlerFailed = "handler_failed", "Fix what the message names; the next request tries again.";
    /// The token handler stopped because of an internal error. The code is in the handler's log, and also in the
    /// response (500) if the handler was about to forward an upstream's response.
    HandlerCrashed = "handler_crashed", "Try again, since the handler starts again with the next request; please report it.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error: a [`Code`] for programs and a message for people.
///
/// An `Error` is one pointer wide, so a `Result` with an `Error` is returned in a register. Most functions of the core
/// return such a `Result`, so this makes the downloaded module smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    code: Code,
    message: String,
}

impl Error {
    /// Creates an error. `message` says what happened and with which value, and must not contain a secret.
    #[must_use]
    pub fn new(code: Code, message: &str) -> Self {
        Self::of(code, &[message])
    }

    /// Creates an error with a message that consists of several parts.
    #[must_use]
    pub fn of(code: Code, message: &[&str]) -> Self {
        let message = message.concat();
        Self(Box::new(Details { code, message }))
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the message: what happened, without a period at the end.
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
        // If messages are interned, the page adds the advice.
        if !ARE_INTERNED {
            f.write_str(". ")?;
            f.write_str(self.code().advice())?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

/// Quotes external input for a message. The input is cut after 60 characters, and each character that is not printable
/// ASCII becomes a `?`. Must not be used for secrets.
#[must_use]
pub fn quote(text: &str) -> String {
    ["'", &short(text), "'"].concat()
}

/// Quotes a URL like `quote`, but cuts it after 2,000 characters, since only a complete URL is useful.
#[must_use]
pub fn quote_url(url: &str) -> String {
    ["'", &printable(url, 2000, ""), "'"].concat()
}

/// Shortens a string as `quote` does, but adds no quotation marks.
#[must_use]
pub(crate) fn short(text: &str) -> String {
    printable(text, 60, "")
}

/// Cuts a string after `longest` characters. Characters that are not printable ASCII, or are among `others`, become
/// question marks.
pub(crate) fn printable(text: &str, longest: usize, others: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == longest {
            out.push_str("...");
            break;
        }
        let is_kept = matches!(c, ' '..='~') && !strings::contains_byte(others.as_bytes(), c as u8);
        out.push(if is_kept { c } else { '?' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_are_short_and_printable() {
        assert_eq!(quote("https://id.test"), "'https://id.test'");
        assert_eq!(quote("a\r\n\0\u{202e}é"), "'a?????'");
        assert_eq!(quote(&"a".repeat(60)), format!("'{}'", "a".repeat(60)));
        assert_eq!(quote(&"é".repeat(9000)), format!("'{}...'", "?".repeat(60)));
        let url = format!("https://id.test/{}", "a".repeat(500));
        assert_eq!(quote_url(&url), format!("'{url}'"));
        assert_eq!(quote_url(&"a".repeat(9000)).len(), 2005);
    }

    #[test]
    fn codes_are_unique_and_have_advice() {
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
    fn error_displays_code_message_and_advice() {
        let error = Error::new(Code::LoginRequired, "there is no session");
        assert_eq!(
            error.to_string(),
            "login_required: there is no session. Call login()."
        );
    }
}
