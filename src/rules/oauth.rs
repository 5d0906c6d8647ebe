//! The rules of OAuth 2.0 and OpenID Connect without I/O and without the configuration, about one specification per
//! module.

pub mod dpop;
pub mod error_description;
pub mod id_token;
pub mod identity;
pub mod jwks;
pub mod jwt;
pub mod metadata;
pub mod pkce;
pub mod refresh_policy;
pub mod resource_indicators;
pub mod scope;
pub mod token_endpoint;
pub mod www_authenticate;
