//! The rules of OAuth 2.0 and OpenID Connect as functions and types without I/O, about one specification per module.

pub mod authorization_request;
pub mod authorization_response;
pub mod device_authorization;
pub mod dpop;
pub(crate) mod error_description;
pub mod id_token;
pub mod jwks;
pub mod jwt;
pub mod metadata;
pub mod pkce;
#[cfg_attr(not(feature = "extended"), path = "oauth/provider_errors_absent.rs")]
pub mod provider_errors;
pub mod pushed_authorization;
pub mod refresh_policy;
pub mod resource_indicators;
pub mod scope;
pub mod token_endpoint;
#[cfg_attr(not(feature = "extended"), path = "oauth/www_authenticate_search.rs")]
pub mod www_authenticate;
// A build without the Cargo feature `extended` has this search in place of `www_authenticate`. This declaration lets
// the tests, which are built with the feature, reach the search.
#[cfg(all(test, feature = "extended"))]
pub mod www_authenticate_search;
