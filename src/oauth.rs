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
pub mod provider_errors;
pub mod pushed_authorization;
pub mod refresh_policy;
pub mod resource_indicators;
pub mod scope;
pub mod token_endpoint;
pub mod www_authenticate;
