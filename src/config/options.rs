//! The options of the vault, with the capability that each of them needs.
//!
//! After `unless` is a value with which an option does not need its capability. With this value it needs the second
//! capability, if there is one. The comment of an option with a capability is its purpose. From this table, `cargo xtask
//! build` writes `pkg/src/generated/options.ts`, by which the worker chooses its module, and `cargo xtask options` writes
//! the table in `docs/deployment.md`.

use crate::base::{capability, strings};
use crate::codec::json::Value;

/// An option.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) name: &'static str,
    /// True if this build has the capability that the option needs.
    pub(super) is_here: bool,
    /// The value, as JSON, with which the option needs no capability. An empty string stands for no value.
    pub(super) off: &'static str,
}

macro_rules! options {
    ($($(#[$about:meta])* $list:ident $path:literal {$(
        $(#[doc = $purpose:literal])*
        $name:literal $(: $capability:ident $(unless $off:literal)? $(, $other:ident unless $less:literal)?)?;
    )+})+) => {$(
        $(#[$about])*
        pub(super) const $list: &[Named] = &[$(Named {
            name: $name,
            is_here: true $(&& capability::$capability::WITNESS.is_some())?,
            off: concat!($($(stringify!($off))?)?),
        }),+];
    )+};
}

options! {
    /// The options of the whole configuration.
    VAULT "" {
        "apis";
        "authorizationParams";
        "claims";
        "clientId";
        "clockTolerance";
        "consent";
        "issuer";
        "par";
        "redirectUri";
        "refreshTimeout";
        "requestTimeout";
        "scope";
        "session";
        /// the user of a server without OpenID Connect: [oauth.md](oauth.md)
        "identity": PlainOauth;
        /// events and state for demos and debugging
        "inspect": Inspector unless false;
        /// tokens that are bound to a key
        "dpop": Dpop unless false;
        /// the provider's response in the fragment
        "responseMode": LoginOptions;
        /// parameters that pages may add: [login.md](login.md)
        "loginParams": LoginOptions;
        /// scopes that pages may add: [login.md](login.md)
        "loginScopes": ResourceTokens;
        /// members of the provider's metadata that are missing or wrong in its discovery document
        "metadata": Metadata;
        /// signing in by `mode: 'custom'`, also with a redirect URI of another origin: [login.md](login.md#in-a-shell)
        "customLogin": CustomLogin unless false;
        /// signing in on another device: [login.md](login.md)
        "deviceFlow": DeviceLogin unless false;
        /// the ID token in the address of a logout at the provider: [login.md](login.md#the-hint-at-a-logout)
        "idTokenHint": LoginOptions unless false;
        /// the address at which a portal may begin a login: [login.md](login.md#logins-that-a-portal-begins)
        "initiateLoginUri": LoginOptions;
        /// one signing algorithm for ID tokens; more algorithms than the default module has
        "idTokenSignedResponseAlg": Algorithms;
        /// audiences of ID tokens in addition to this client: [login.md](login.md#the-id-token)
        "trustedAudiences": LoginOptions;
        /// logins that fail if more scopes are granted: [login.md](login.md#scopes-beyond-the-request)
        "unrequestedScopes": LoginOptions;
        /// the reason why the provider ended a session: [sessions.md](sessions.md)
        "reasons": Reasons unless false;
        /// claims from the provider's UserInfo endpoint: [login.md](login.md#userinfo)
        "userInfo": ProfileAddress unless false;
    }

    /// The options in `session`.
    SESSION "session." {
        "idle";
        "absolute";
        /// sessions that outlive the worker: [sessions.md](sessions.md)
        "persist": StoredSessions unless "memory", Escrow unless "sealed";
    }

    /// The options in `identity`.
    IDENTITY "identity." {
        "claims";
        "from";
        "sub";
        /// an API that says who the user is: [oauth.md](oauth.md)
        "url": ProfileAddress;
    }

    /// The options of a rule, which is an entry of `apis`.
    RULE "apis[]." {
        "credentials";
        "methods";
        "reflection";
        "url";
        /// a separate access token for each API (RFC 8707)
        "resource": ResourceTokens;
        /// a separate access token for each API, by the parameter that some providers have instead
        "audience": ResourceTokens;
        /// a separate access token for each API, with some of the login's scopes
        "scope": ResourceTokens;
        /// stronger or more recent authentication, when an API asks for it
        "stepUp": StepUp unless false;
        /// sockets: [fetch.md](fetch.md)
        "webSocket": Sockets;
        /// responses in the browser's HTTP cache: [fetch.md](fetch.md#the-http-cache)
        "cache": RuleOptions unless false;
        /// a rule for one URL instead of a folder: [fetch.md](fetch.md#one-url)
        "exact": RuleOptions unless false;
        /// request headers that pages may set although they are refused by default: [fetch.md](fetch.md#request-headers)
        "allowHeaders": RuleOptions;
        /// more request headers that pages may not set
        "denyHeaders": RuleOptions;
    }
}

/// The options of the whole configuration that this build knows, separated by spaces.
pub(super) const OF_VAULT: &str = strings::join!(&names::<{ VAULT.len() }>(VAULT, List::Known));

/// The options in `session` that this build knows, separated by spaces.
pub(super) const OF_SESSION: &str =
    strings::join!(&names::<{ SESSION.len() }>(SESSION, List::Known));

/// The options in `identity` that this build knows, separated by spaces.
pub(super) const OF_IDENTITY: &str =
    strings::join!(&names::<{ IDENTITY.len() }>(IDENTITY, List::Known));

/// The options of a rule that this build knows, separated by spaces.
pub(super) const OF_RULE: &str = strings::join!(&names::<{ RULE.len() }>(RULE, List::Known));

/// The names of options that this build accepts only with the value `false`.
const SWITCHES: &str = strings::join!(&[
    strings::join!(&names::<{ VAULT.len() }>(VAULT, List::Switches)),
    strings::join!(&names::<{ RULE.len() }>(RULE, List::Switches)),
]);

/// Returns true for an option that this build lacks, with the value `false`. Does not check that the option is in the right
/// object.
pub(super) fn is_off(name: &str, value: &Value) -> bool {
    !SWITCHES.is_empty()
        && matches!(value, Value::Bool(false))
        && strings::contains_word(SWITCHES, name)
}

/// A list of options.
#[derive(Clone, Copy)]
enum List {
    /// The options that this build knows. If this build lacks an option's capability, and a value other than `false`
    /// needs no capability, then the function that reads the option refuses other values.
    Known,
    /// The options that this build accepts only with the value `false`.
    Switches,
}

impl Named {
    const fn is_in(&self, list: List) -> bool {
        let is_switch = matches!(self.off.as_bytes(), b"false");
        let is_known = self.is_here || !(self.off.is_empty() || is_switch);
        match list {
            List::Known => is_known,
            List::Switches => is_switch && !is_known,
        }
    }
}

/// Returns the names of the known options or of the switches, and empty strings for other options.
const fn names<const N: usize>(options: &[Named], list: List) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        if options[i].is_in(list) {
            names[i] = options[i].name;
        }
        i += 1;
    }
    names
}
