//! The option `identity`: who the user is, at a server without OpenID Connect.

use super::{HIDDEN_CLAIMS, Options, options};
use crate::base::capability;
use crate::base::strings;
use crate::codec::json::Value;
use crate::codec::url::Url;
use crate::oauth::identity::Members;
use crate::prelude::*;

const OPTION: &str = "identity";

const WHY: &str = msg!(
    "it must be 'none', or an object such as { from: 'token_response', sub: 'user_id' } or { url: 'https://api.example.com/me', sub: 'id' } that names members of a response"
);

impl<'a> Options<'a> {
    /// Returns the options in `identity`, which are empty for `identity: 'none'`. Returns `None` if the user has an ID
    /// token.
    pub(crate) fn identity(
        &self,
        has: capability::PlainOauth,
    ) -> Option<capability::PlainOauth<Options<'a>>> {
        let value = self.object.get(OPTION)?;
        let is_named = value.as_str() != Some("none");
        let identity = self.nested(if is_named { OPTION } else { "" }, "identity.", WHY);
        if is_named {
            identity.refuse_unknown(options::OF_IDENTITY);
            let has_url = capability::ProfileAddress::WITNESS.is_some()
                && identity.object.get("url").is_some();
            if has_url && identity.object.get("from").is_some() {
                identity.refuse("from", msg!("either `from` or `url` says who the user is"));
            }
            identity.one_of("from", r#""token_response""#);
            let sub = identity.object.str("sub").unwrap_or_default();
            if sub.is_empty() || strings::contains_word(HIDDEN_CLAIMS, sub) {
                identity.refuse("sub", WHY);
            }
        }
        Some(has.with(identity))
    }

    /// Refuses an option about ID tokens if `identity` is configured.
    pub(crate) fn refuse_with_identity(&self, name: &str) {
        if capability::PlainOauth::WITNESS.is_none() {
            return;
        }
        let value = self.object.get(name);
        if value.is_some_and(|value| *value != Value::Bool(false))
            && self.object.get(OPTION).is_some()
        {
            self.refuse(name, msg!("a login with `identity` has no ID token"));
        }
    }

    /// Returns the profile address in these options, which are in `identity`.
    pub(crate) fn profile_address(&self) -> Option<capability::ProfileAddress<Url>> {
        const WHY: &str = msg!(
            "it must be an https URL without user name and fragment (http is for loopback only)"
        );
        let has = capability::ProfileAddress::WITNESS?;
        let text = self.object.get("url")?.as_str().unwrap_or_default();
        let url = Url::parse(text)
            .filter(|url| url.is_trustworthy() && !url.has_userinfo() && !url.has_fragment());
        if url.is_none() {
            self.refuse("url", WHY);
        }
        Some(has.with(url?))
    }

    /// Returns what these options, which are in `identity`, say about the user.
    pub(crate) fn members(
        &self,
        scope: &str,
        profile: Option<capability::ProfileAddress<Url>>,
    ) -> Members {
        Members {
            profile,
            sub: self.object.str("sub").unwrap_or_default().to_owned(),
            scope_has_commas: strings::contains_byte(scope.as_bytes(), b','),
        }
    }
}
