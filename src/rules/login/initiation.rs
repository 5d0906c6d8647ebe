//! The parameters of a login that another site begins, such as the portal of a provider (OIDC Core 4, *Initiating Login
//! from a Third Party*).

use crate::prelude::*;

use crate::base::error::{Code, Error, Result};

/// The parameters of a login that another site begins. Other parameters are ignored, as OIDC Core 4 demands.
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
    /// Reads the parameters of a query or form. Returns `None` if there is no `iss`: the request then begins no such login.
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
                    msg!("another site began a login with more than one parameter "),
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
        let message =
            msg!("another site began a login with an iss that is not the configured issuer");
        Err(Error::new(Code::IssuerMismatch, message))
    }
}
