//! The option `par`.

use rules::config::Options;
use rules::oauth::metadata::Metadata;

/// The option `par`, which decides if authorization requests are pushed to the provider (RFC 9126).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pushing {
    /// Requests are pushed if the provider announces an endpoint for pushed requests, and the endpoint accepts this
    /// client.
    #[default]
    Auto,
    /// Requests are always pushed. A login that cannot be pushed fails.
    Always,
    /// Requests are never pushed.
    Never,
}

impl Pushing {
    /// Returns true if a provider with this metadata can accept logins.
    #[must_use]
    pub fn is_possible(self, metadata: &Metadata) -> bool {
        let has_endpoint = metadata.pushed_authorization_request_endpoint.is_some();
        let is_required = metadata.require_pushed_authorization_requests;
        match self {
            Self::Auto => has_endpoint || !is_required,
            Self::Always => has_endpoint,
            Self::Never => !is_required,
        }
    }

    pub(super) fn read(options: &Options<'_>) -> Self {
        match options.one_of("par", r#"true false "auto""#).as_str() {
            "true" => Self::Always,
            "false" => Self::Never,
            _ => Self::Auto,
        }
    }
}
