//! The members of a response with tokens (RFC 6749 5.1).
//!
//! A flaw of one member does not make the others unusable: the provider may already have consumed the refresh token that
//! was sent. Null, empty and absent are the same. An optional member that is not usable is ignored, and named in
//! [`TokenSet::flaws`]. A response without an access token, with an error code, or with tokens of another type than
//! the wanted one is [`Unusable`], but its refresh token still replaces the one that was sent. A missing type counts as
//! Bearer.
//!
//! A refresh token that is `false`, `[]` or `{}` counts as absent too. Servers in languages with weak types write these
//! values for "nothing", and such a server has not issued a successor: the refresh token that was sent stays in use. If
//! it was consumed nevertheless, the session ends in any case. Every other value that is not a usable token means that the
//! provider has issued a successor, which is lost.

use crate::prelude::*;

use super::{
    DEFAULT_LIFETIME, MAX_LIFETIME, MAX_TOKEN, Scheme, TokenSet, UNLIMITED, Unusable, Wanted,
    is_error_code,
};
use crate::Secret;
use crate::base::clock::Millis;
use crate::base::error::quote;
use crate::base::http::HttpReply;
use crate::base::strings;
use crate::codec::json::{Object, Value};
use crate::oauth::scope::{is_scope_token, scope_tokens};

/// Reads the tokens in a response with status 2xx.
pub(super) fn tokens(
    reply: &HttpReply,
    wanted: Wanted<'_>,
) -> core::result::Result<Box<TokenSet>, Unusable> {
    let value = parse(reply).map_err(|why| Unusable::because(&[&why]))?;
    let Some(object) = value.as_object() else {
        return Err(Unusable::because(&[msg!("not a JSON object")]));
    };
    let mut reader = TokenReader {
        object,
        flaws: String::new(),
        refusal: None,
    };
    if reply.json_text().is_none() {
        let named = reply.content_type.as_deref().unwrap_or_default();
        reader.refuse(&[msg!("it is JSON, but its Content-Type is "), &quote(named)]);
    }
    reader.error();
    reader.token_type(wanted);
    let access_token = match reader.token("access_token", b'!') {
        Token::Valid(token) => token,
        Token::Absent => {
            reader.refuse(&[msg!("access_token is missing")]);
            Secret::default()
        }
        Token::Unusable(flaw) => {
            reader.refuse(&[&flaw]);
            Secret::default()
        }
    };
    let refresh_token = reader.token("refresh_token", b' ');
    let loses_refresh_token =
        matches!(refresh_token, Token::Unusable(_)) && !reader.is_empty("refresh_token");
    let refresh_token = reader.optional_token(refresh_token);
    let members = wanted.members;
    let may_have_commas = members.is_some_and(|(members, _)| !members.scope_has_commas);
    let scope = reader.scope(may_have_commas);
    let mut tokens = Box::new(TokenSet {
        access_token,
        // Nothing can renew the token, and the response tells no lifetime.
        expires_in: if refresh_token.is_none() && reader.optional("expires_in").is_none() {
            UNLIMITED
        } else {
            reader.lifetime()
        },
        refresh_token,
        loses_refresh_token,
        refresh_expires_in: reader.refresh_lifetime(),
        identity: match members {
            // After a login, the profile address says who the user is.
            Some((members, _)) if members.profile.is_some() => None,
            Some((members, names)) => Some(members.of(object, names)),
            None => {
                let id_token = reader.token("id_token", b'!');
                reader.optional_token(id_token)
            }
        },
        has_unusable_scope: scope.is_err(),
        scope: scope.unwrap_or_default(),
        flaws: reader.flaws,
    });
    let Some(why) = reader.refusal else {
        return Ok(tokens);
    };
    tokens.access_token = Secret::default();
    tokens.scope = None;
    let is_rotated = tokens.refresh_token.is_some() || loses_refresh_token;
    Err(Unusable {
        why,
        rotated: is_rotated.then_some(tokens),
    })
}

/// Parses the body of a response, of any content type.
fn parse(reply: &HttpReply) -> core::result::Result<Value, String> {
    let Some(body) = reply.text() else {
        return Err(msg!("its body is longer than 1 MB, or not UTF-8").to_owned());
    };
    let parsed = Value::parse_tolerant(body);
    parsed.map_err(|error| match reply.json_text() {
        Some(_) => error.describe(),
        None => msg!("not JSON by its Content-Type").to_owned(),
    })
}

/// A member that may have a token.
enum Token {
    Absent,
    Valid(Secret),
    /// The member has no usable token, as this sentence says.
    Unusable(String),
}

/// Reads the members of a response. The first reason to refuse the response is kept and returned after all members are
/// read: an early return at each member would need code to zero the tokens read before.
struct TokenReader<'a> {
    object: &'a Object,
    /// The flaws that do not make the response unusable.
    flaws: String,
    refusal: Option<String>,
}

impl<'a> TokenReader<'a> {
    fn refuse(&mut self, why: &[&str]) {
        self.refusal.get_or_insert_with(|| why.concat());
    }

    fn flaw(&mut self, what: &[&str]) {
        if !self.flaws.is_empty() {
            self.flaws.push_str("; ");
        }
        self.flaws.push_str(&what.concat());
    }

    /// Returns an optional member. Null and an empty string count as absent, because some providers send them for absent
    /// members.
    fn optional(&self, name: &str) -> Option<&'a Value> {
        match self.object.get(name)? {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            value => Some(value),
        }
    }

    /// Returns true for a value of another type than string that means "nothing": `false`, `[]` or `{}`.
    fn is_empty(&self, name: &str) -> bool {
        match self.object.get(name) {
            Some(Value::Bool(value)) => !value,
            Some(Value::Array(values)) => values.is_empty(),
            Some(Value::Object(members)) => members.iter().next().is_none(),
            _ => false,
        }
    }

    /// Refuses a response with an error code.
    fn error(&mut self) {
        match self.optional("error") {
            None => {}
            Some(Value::String(code)) if is_error_code(code) => {
                self.refuse(&[msg!("a 200 response with the error code "), code]);
            }
            Some(Value::String(_)) => self.refuse(&[msg!("a 200 response with an error code")]),
            Some(other) => self.flaw(&["error is ", other.kind()]),
        }
    }

    /// Refuses a type of tokens that is not the wanted one (RFC 6749 7.1). A missing type counts as Bearer, but not as
    /// DPoP.
    fn token_type(&mut self, wanted: Wanted<'_>) {
        let (expected, other) = match wanted.scheme {
            Scheme::Bearer => ("bearer", msg!("token_type is not Bearer")),
            Scheme::Dpop => (
                "dpop",
                msg!("token_type is not DPoP: does the provider support it, for this client?"),
            ),
        };
        match self.optional("token_type") {
            Some(Value::String(name)) if name.eq_ignore_ascii_case(expected) => {}
            Some(_) => self.refuse(&[other]),
            None if wanted.scheme == Scheme::Dpop => {
                self.refuse(&[msg!("token_type is missing")]);
            }
            None => self.flaw(&[msg!(
                "token_type is missing, and counts as Bearer (RFC 6749 5.1 requires it)"
            )]),
        }
    }

    /// Returns a token, which consists of VSCHAR (RFC 6749 A.12 and A.17): the characters from space to `~`. `first` is
    /// the first of these characters that the token may contain. A space in an access token would change the meaning of
    /// a header, and an ID token has no space.
    fn token(&self, name: &str, first: u8) -> Token {
        let Some(value) = self.optional(name) else {
            return Token::Absent;
        };
        let why = match value {
            Value::String(token) if token.len() > MAX_TOKEN => msg!("longer than 16 KiB"),
            Value::String(token) => {
                let refused = |byte: &u8| !(first..=b'~').contains(byte);
                match token.bytes().find(refused) {
                    None => return Token::Valid(Secret::from(token.as_str())),
                    Some(b' ') => msg!("a string with a space"),
                    Some(0x80..) => msg!("a string with a character that is not ASCII"),
                    Some(_) => msg!("a string with a control character"),
                }
            }
            other => other.kind(),
        };
        Token::Unusable([name, " is ", why].concat())
    }

    /// Returns the token, if it is usable.
    fn optional_token(&mut self, token: Token) -> Option<Secret> {
        match token {
            Token::Absent => None,
            Token::Valid(token) => Some(token),
            Token::Unusable(flaw) => {
                self.flaw(&[&flaw]);
                None
            }
        }
    }

    /// Returns `expires_in`, at most [`MAX_LIFETIME`], or [`DEFAULT_LIFETIME`] if the response has no usable one.
    fn lifetime(&mut self) -> Millis {
        let Some(value) = self.optional("expires_in") else {
            return DEFAULT_LIFETIME;
        };
        match value.whole_part() {
            None | Some(0) => {
                self.flaw(&[msg!(
                    "expires_in is not a positive number of seconds, and counts as 300"
                )]);
                DEFAULT_LIFETIME
            }
            Some(seconds) => Millis::from_secs(seconds).min(MAX_LIFETIME),
        }
    }

    /// Returns the lifetime of the refresh token. Zero means that it has no end, as at Keycloak.
    fn refresh_lifetime(&mut self) -> Option<Millis> {
        for name in ["refresh_token_expires_in", "refresh_expires_in"] {
            let Some(value) = self.optional(name) else {
                continue;
            };
            match value.whole_part() {
                Some(0) => return None,
                Some(seconds) => return Some(Millis::from_secs(seconds)),
                None => self.flaw(&[name, msg!(" is not a number of seconds")]),
            }
        }
        None
    }

    /// Returns the scopes, separated by spaces. With `may_have_commas`, commas separate scopes unless spaces do. Returns
    /// an error if `scope` is not usable.
    fn scope(&mut self, may_have_commas: bool) -> core::result::Result<Option<String>, ()> {
        let Some(value) = self.optional("scope") else {
            return Ok(None);
        };
        let Some(scope) = value.as_str() else {
            self.flaw(&["scope is ", value.kind()]);
            return Err(());
        };
        if !scope_tokens(scope).all(is_scope_token) {
            self.flaw(&[msg!("scope has invalid characters")]);
            return Err(());
        }
        let is_separator = |byte| byte == b',' && !strings::contains_byte(scope.as_bytes(), b' ');
        if !may_have_commas {
            return Ok(Some(scope.to_owned()));
        }
        let mut scopes = String::new();
        for byte in scope.bytes() {
            scopes.push(if is_separator(byte) {
                ' '
            } else {
                char::from(byte)
            });
        }
        Ok(Some(scopes))
    }
}
