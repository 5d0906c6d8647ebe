//! Tokens never enter the page: what the vault tells pages is searched for every secret there is.

use std::collections::BTreeSet;

use strongroom::json::{Object, Value};
use strongroom::{base64url, form};

/// What was told, and what must not be in it.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    told: Vec<String>,
    debugged: Vec<String>,
    secrets: Vec<String>,
    /// Secrets that the address of the authorization request carries (`state`, `nonce`).
    in_requests: Vec<String>,
}

impl Witness {
    /// A text that a page got.
    pub(crate) fn told(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    /// What a debugger or a log would show.
    pub(crate) fn debugged(&mut self, text: String) {
        self.debugged.push(text);
    }

    pub(crate) fn secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    pub(crate) fn secret_in_requests(&mut self, secret: &str) {
        self.in_requests.push(secret.to_owned());
    }

    /// The secrets that may be in no text at all.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// The different texts that a debugger or a log would show.
    pub(crate) fn debug_texts(&self) -> BTreeSet<&str> {
        self.debugged.iter().map(String::as_str).collect()
    }

    /// How many texts were searched.
    pub(crate) fn texts(&self) -> usize {
        self.told.len() + self.debugged.len()
    }

    /// Where a secret was found.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let plain = spellings(&self.secrets);
        let all = [plain.clone(), spellings(&self.in_requests)].concat();
        let mut leaks = Vec::new();
        let mut search = |text: &str, secrets: &[String]| {
            if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                leaks.push(text.to_owned());
            }
        };
        for text in &self.told {
            let (address, rest) = without_address(text);
            search(&address, &plain);
            search(&rest, &all);
        }
        for text in &self.debugged {
            search(text, &all);
        }
        leaks
    }
}

/// A secret as it is, and as it may be written elsewhere.
fn spellings(secrets: &[String]) -> Vec<String> {
    let spell = |secret: &String| {
        let hex = secret.bytes().map(|b| format!("{b:02x}")).collect();
        // Base64 of three offsets, without the ends that depend on what stands beside.
        let shifted = (0..3).map(|skip| {
            let text = base64url::encode(&secret.as_bytes()[skip..]);
            text[..text.len() - 4].to_owned()
        });
        let mut forms: Vec<String> = shifted.collect();
        forms.extend([secret.clone(), hex, encoded(secret)]);
        forms
    };
    let mut all: Vec<String> = secrets.iter().flat_map(spell).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn encoded(text: &str) -> String {
    form::Form::new().push("", text).finish()[1..].to_owned()
}

/// The address of a `navigate` message, and the message without it.
fn without_address(text: &str) -> (String, String) {
    let message = Value::parse(text).unwrap();
    let message = message.as_object().unwrap();
    if message.str("t") != Some("navigate") {
        return (String::new(), text.to_owned());
    }
    let mut rest = Object::new();
    for (name, value) in message.iter().filter(|(name, _)| *name != "url") {
        rest.push(name, value.clone());
    }
    let mut text = String::new();
    rest.write(&mut text);
    (message.str("url").unwrap().to_owned(), text)
}
