//! The options `issuer` and `metadata`: the authorization server.

use super::reader::{NOT_HTTPS, Options};
use crate::codec::url::Url;
use crate::oauth::identity::Members;
use crate::oauth::metadata::{self, Metadata};
use crate::prelude::*;

/// Returns the option `issuer`: the provider's issuer identifier (RFC 8414 2).
pub fn issuer(options: &Options<'_>) -> String {
    const WHY: &str =
        msg!("it must be the provider's issuer identifier, an https URL without query or fragment");
    let issuer = options.text("issuer", WHY);
    match Url::parse(issuer) {
        Some(url) if url.is_plain() && url.is_trustworthy() => {}
        Some(url) if url.scheme() == "http" && !url.is_trustworthy() => {
            options.refuse("issuer", NOT_HTTPS);
        }
        _ => options.refuse("issuer", WHY),
    }
    issuer.to_owned()
}

/// Returns the metadata that a client of `issuer` with this option `identity` expects.
pub fn expected<'a>(issuer: &'a str, identity: Option<&'a Members>) -> metadata::Expected<'a> {
    metadata::Expected {
        has_openid: identity.is_none(),
        profile: identity.and_then(|members| members.profile.as_ref()),
        ..metadata::Expected::of(issuer)
    }
}

/// Returns the configured metadata, if it has all required members. Otherwise returns `None`, because its members complete
/// the discovered metadata: see [`super::Flow::metadata_members`].
pub fn metadata(options: &Options<'_>, expected: &metadata::Expected<'_>) -> Option<Box<Metadata>> {
    let value = options.object.get("metadata")?;
    let Some(document) = value.as_object() else {
        options.refuse("metadata", msg!("it must be an object (RFC 8414 2)"));
        return None;
    };
    // Without an issuer, the metadata would be of another issuer.
    if expected.issuer.is_empty() || !Metadata::is_complete(document, expected.has_openid) {
        return None;
    }
    match Metadata::from_object(document, expected) {
        Ok(metadata) => {
            if let Some(flaws) = metadata.warning() {
                options.record("metadata", &["`metadata`: ", flaws.message()]);
            }
            Some(metadata)
        }
        Err(error) => {
            options.record("metadata", &["`metadata`: ", error.message()]);
            None
        }
    }
}
