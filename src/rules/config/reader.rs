//! Reads the options in a JSON object, and records their faults.

use super::MAX_CONFIG;
use super::faults::{Faults, fault};
use crate::base::clock::Millis;
use crate::base::error::{Result, short};
use crate::base::strings;
use crate::codec::json::{self, Object, Value};
use crate::prelude::*;

/// The allowed values of an option in seconds, and the text of its error, which names them.
pub struct Seconds {
    /// The shortest time.
    pub least: u64,
    /// The longest time.
    pub most: u64,
    /// The reason why other times are refused.
    pub why: &'static str,
}

/// The reason why an address with the scheme `http` is refused.
pub const NOT_HTTPS: &str = msg!("it must be https; http is for loopback only");

/// The end of the reason against an array with an empty string.
const EMPTY_STRING: &str = msg!("; it has an empty string (is an environment variable not set?)");

/// The object of options that are all missing.
pub(super) static EMPTY: Object = Object::new();

/// Returns the name of an element of an array in error messages.
#[must_use]
pub fn indexed(array: &str, i: usize) -> String {
    let mut name = [array, "["].concat();
    json::write_number(&mut name, i as u64);
    name.push(']');
    name
}

/// Parses the JSON of a configuration.
pub fn parse(json: &str) -> Result<Object> {
    if json.len() > MAX_CONFIG {
        return Err(fault(&[msg!(
            "the configuration is longer than 65536 bytes"
        )]));
    }
    match Value::parse(json) {
        Ok(value) => value
            .into_object()
            .ok_or_else(|| fault(&[msg!("the configuration is not an object")])),
        Err(error) => Err(fault(&[
            msg!("the configuration is not JSON: "),
            &error.describe(),
        ])),
    }
}

/// The options in one object. A fault does not stop the reader: it records the fault and uses a placeholder value, with
/// which no other option becomes invalid. The caller checks for faults once, at the end.
pub struct Options<'a> {
    /// The object.
    pub object: &'a Object,
    /// The prefix of option names in messages, for example `session.` or `apis[0].`. The prefix is empty for options of
    /// the whole configuration.
    pub path: &'a str,
    pub(crate) faults: &'a Faults,
}

impl<'a> Options<'a> {
    /// Returns the options of a whole configuration.
    pub const fn of(object: &'a Object, faults: &'a Faults) -> Self {
        Self {
            object,
            path: "",
            faults,
        }
    }

    /// Returns the options in an object of this configuration.
    pub const fn within<'b>(&self, object: &'b Object, path: &'b str) -> Options<'b>
    where
        'a: 'b,
    {
        Options {
            object,
            path,
            faults: self.faults,
        }
    }

    /// Records a fault of the option `name`.
    pub fn record(&self, name: &str, message: &[&str]) {
        self.faults.record(&[self.path, name], message);
    }

    /// Records that the option `name` is missing or invalid. `why` says what the option must be.
    pub fn refuse(&self, name: &str, why: &str) {
        self.refuse_value(name, self.object.get(name), why);
    }

    /// Records that the option `name` is invalid, without its value, which may be a secret.
    pub fn refuse_unseen(&self, name: &str, why: &str) {
        self.record(name, &["`", self.path, name, "`: ", why]);
    }

    /// Records that an option whose value is `value`, or that is missing, is invalid.
    pub fn refuse_value(&self, name: &str, value: Option<&Value>, why: &str) {
        let shown = value.map(shown);
        let (is, value, colon) = match &shown {
            Some(value) => (msg!("` is "), &**value, ": "),
            None => (msg!("` is missing: "), "", ""),
        };
        self.record(name, &["`", self.path, name, is, value, colon, why]);
    }

    /// Refuses options other than the `known` ones.
    pub fn refuse_unknown(&self, known: &[&str]) {
        for (name, _) in self.object.iter() {
            if !known.contains(&name) {
                self.refuse_unknown_one(name, known);
            }
        }
    }

    /// Records an unknown option, without its value, which may be a secret.
    fn refuse_unknown_one(&self, name: &str, known: &[&str]) {
        match reason_against(self.path, name) {
            Some(why) => self.refuse_unseen(name, why),
            // pkg/src/page/errors/error-messages.ts replaces the known options by the one that may be meant.
            None => {
                let why = [msg!("there is no such option"), "\n", &known.join(" ")].concat();
                self.refuse_unseen(name, &why);
            }
        }
    }

    /// Returns the string of a required option.
    pub fn text(&self, name: &str, why: &str) -> &'a str {
        match self.object.str(name) {
            Some(text) => text,
            None => {
                self.refuse(name, why);
                ""
            }
        }
    }

    /// Returns the string in the option `name`. If the option is missing, returns `default`.
    pub fn text_or(&self, name: &str, default: &'a str, why: &str) -> &'a str {
        if self.object.get(name).is_some() {
            self.text(name, why)
        } else {
            default
        }
    }

    /// Returns the string in the option `name`, if there is one. Refuses a value for which `is_valid` returns false.
    pub fn valid_text(
        &self,
        name: &str,
        is_valid: impl Fn(&str) -> bool,
        why: &str,
    ) -> Option<String> {
        let value = self.object.get(name)?;
        let text = value.as_str().filter(|text| is_valid(text));
        if text.is_none() {
            self.refuse(name, why);
        }
        text.map(ToOwned::to_owned)
    }

    /// Returns true for the value `true`, and false for `false` and for a missing option.
    pub fn boolean(&self, name: &str) -> bool {
        match self.object.get(name) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                self.refuse(name, msg!("it must be true or false"));
                false
            }
        }
    }

    /// Refuses options that are not in `known`. The error does not contain the option's value, which may be a secret.
    pub fn refuse_others(&self, known: &str) {
        for (name, _) in self.object.iter() {
            if !strings::contains_word(known, name) {
                self.refuse_unseen(name, msg!("there is no such option"));
            }
        }
    }

    /// Returns the value of the option `name`, or `default` if the option is missing.
    pub fn boolean_or(&self, name: &str, default: bool) -> bool {
        match self.object.get(name) {
            None => default,
            Some(_) => self.boolean(name),
        }
    }

    /// Reads a required secret.
    pub fn secret(&self, name: &str, why: &str) -> &'a str {
        let secret = self.object.str(name);
        if secret.is_none() {
            self.refuse_unseen(name, why);
        }
        secret.unwrap_or_default()
    }

    /// Returns the array of strings in the option `name`. If the option is missing, returns the words of `default`.
    pub fn strings(&self, name: &str, default: &str, why: &str) -> Vec<String> {
        let mut strings = Vec::new();
        let Some(value) = self.object.get(name) else {
            let words = strings::split(default, b' ').filter(|word| !word.is_empty());
            strings.extend(words.map(ToOwned::to_owned));
            return strings;
        };
        let Some(items) = value.as_array() else {
            self.refuse(name, why);
            return strings;
        };
        for item in items {
            match item.as_str() {
                // `''.split(',')` has one, and nothing is meant by it.
                Some("") => self.refuse(name, &[why, EMPTY_STRING].concat()),
                Some(text) => strings.push(text.to_owned()),
                None => self.refuse(name, why),
            }
        }
        strings
    }

    /// Returns the time in the option `name`, or `default` seconds if the option is missing. The placeholder of an invalid
    /// time is the longest time, because other times must not be longer.
    pub fn seconds(&self, name: &str, default: u64, range: &Seconds) -> Millis {
        let Some(value) = self.object.get(name) else {
            return Millis::from_secs(default);
        };
        let seconds = value.as_u64().unwrap_or(u64::MAX);
        if !(range.least..=range.most).contains(&seconds) {
            self.refuse(name, range.why);
            return Millis::from_secs(range.most);
        }
        Millis::from_secs(seconds)
    }

    /// Returns the option's value as JSON, or an empty string if the option is missing. `known` lists the allowed
    /// values, separated by spaces.
    pub fn one_of(&self, name: &str, known: &str) -> String {
        let mut json = String::new();
        if let Some(value) = self.object.get(name) {
            value.write(&mut json);
            if !strings::contains_word(known, &json) {
                let why = [msg!("it must be one of: "), known].concat();
                self.refuse_value(name, Some(value), &why);
            }
        }
        json
    }

    /// Returns the options in an optional nested object.
    pub fn nested<'b>(&self, name: &str, path: &'b str, why: &str) -> Options<'b>
    where
        'a: 'b,
    {
        let object = self.object.get(name).map_or(Some(&EMPTY), Value::as_object);
        if object.is_none() {
            // A secret may be in the wrong place.
            self.refuse_unseen(name, why);
        }
        self.within(object.unwrap_or(&EMPTY), path)
    }
}

/// Returns a value as JSON, shortened for a message.
fn shown(value: &Value) -> String {
    let mut text = String::new();
    value.write(&mut text);
    short(&text)
}

/// Returns the reason why there is no option `name`, if there is a more specific reason than "no such option".
fn reason_against(path: &str, name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "clientsecret" | "client_secret" => Some(msg!(
            "a browser cannot keep a client secret; register a public client"
        )),
        _ if !path.is_empty() => None,
        "audience" => Some(msg!(
            "it is a parameter of the authorization request: write authorizationParams: { audience: '…' }"
        )),
        "responsetype" | "response_type" | "implicit" => Some(msg!(
            "only the authorization code flow with PKCE is supported: the implicit flow puts tokens into URLs and does not bind them to this client (RFC 9700 2.1.2)"
        )),
        "granttype" | "grant_type" | "username" | "password" => Some(msg!(
            "only the authorization code flow with PKCE is supported: the password grant reveals the user's password to the app and has no second factor (RFC 9700 2.4)"
        )),
        _ => None,
    }
}
