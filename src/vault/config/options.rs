//! The names of all options of the vault. The error of an unknown option lists the known options of the same object,
//! from which the page suggests the one that may be meant.

macro_rules! options {
    ($($(#[$about:meta])* $list:ident $path:literal {$($name:literal;)+})+) => {$(
        $(#[$about])*
        pub(super) const $list: &[&str] = &[$($name),+];
    )+};
}

options! {
    /// The options of the whole configuration.
    VAULT "" {
        "accounts";
        "apis";
        "authorizationParams";
        "callbackPage";
        "claims";
        "clientId";
        "clockTolerance";
        "consent";
        "customLogin";
        "deviceFlow";
        "dpop";
        "idTokenHint";
        "idTokenSignedResponseAlg";
        "identity";
        "initiateLoginUri";
        "inspect";
        "issuer";
        "loginParams";
        "loginScopes";
        "logout";
        "metadata";
        "par";
        "pinned";
        "reasons";
        "redirectUri";
        "refreshTimeout";
        "requestTimeout";
        "requireIss";
        "resource";
        "responseMode";
        "sameClaims";
        "scope";
        "session";
        "trustedAudiences";
        "unrequestedScopes";
        "userInfo";
    }

    /// The options in `session`.
    SESSION "session." {
        "idle";
        "absolute";
        "persist";
    }

    /// The options of a rule, which is an entry of `apis`.
    RULE "apis[]." {
        "allowHeaders";
        "audience";
        "cache";
        "credentials";
        "denyHeaders";
        "exact";
        "media";
        "methods";
        "reflection";
        "resource";
        "scope";
        "stepUp";
        "url";
        "webSocket";
    }
}
