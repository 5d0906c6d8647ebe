//! The parameters of a login that another site begins, such as the portal of a provider (OIDC Core 4).

use crate::prelude::*;

use crate::base::error::{Code, Error, Result};

/// The parameters of such a request. Others are ignored, as this section demands.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Initiation {
    /// `iss`: the provider at which the user is to sign in.
    pub issuer: String,
    /// `login_hint`
    pub login_hint: Option<String>,
    /// `target_link_uri`: the address to open after the login.
    pub target: Option<String>,
}

impl Initiation {
    /// Reads the parameters of a query or form. Returns `None` if there is no `iss`, so that the request is not of this
    /// kind.
    ///
    /// # Errors
    /// [`Code::MessageInvalid`] if one of the three parameters is repeated.
    pub fn read(parameters: Vec<(String, String)>) -> Option<Result<Box<Self>>> {
        let mut read = Box::<Self>::default();
        let mut issuer = None;
        for (name, value) in parameters {
            let known = match name.as_str() {
                "iss" => &mut issuer,
                "login_hint" => &mut read.login_hint,
                "target_link_uri" => &mut read.target,
                _ => continue,
            };
            if known.replace(value).is_some() {
                let message = [
                    msg!("a login that another site began has two parameters "),
                    &name,
                ];
                return Some(Err(Error::of(Code::MessageInvalid, &message)));
            }
        }
        read.issuer = issuer?;
        Some(Ok(read))
    }

    /// Compares the issuer with the configured one.
    ///
    /// # Errors
    /// [`Code::IssuerMismatch`]
    pub fn check_issuer(&self, configured: &str) -> Result<()> {
        if self.issuer == configured {
            return Ok(());
        }
        let message = msg!("another site began a login at another issuer than the configured one");
        Err(Error::new(Code::IssuerMismatch, message))
    }
}
