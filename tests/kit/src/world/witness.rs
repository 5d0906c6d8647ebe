//! Checks that tokens never reach a page, by searching every message to a page for every known secret.

use std::collections::{BTreeSet, HashMap};

use rules::codec::base64url;
use rules::codec::form;
use rules::codec::json::{Object, Value, Writer};

/// Messages to pages, and the secrets that must not occur in them.
#[derive(Clone, Default)]
pub struct Witness {
    told: Vec<String>,
    debugged: Vec<String>,
    secrets: Vec<String>,
    /// Secrets in the URL of the authorization request (`state`, `nonce`).
    in_requests: Vec<String>,
}

impl Witness {
    /// Records a message to a page.
    pub fn told(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    /// Records a string that a debugger or a log would show.
    pub fn debugged(&mut self, text: String) {
        self.debugged.push(text);
    }

    pub fn secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    pub fn secret_in_requests(&mut self, secret: &str) {
        self.in_requests.push(secret.to_owned());
    }

    /// Returns the secrets that no string may contain.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// Returns the different strings that a debugger or a log would show.
    pub fn debug_texts(&self) -> BTreeSet<&str> {
        self.debugged.iter().map(String::as_str).collect()
    }

    /// Returns the number of recorded texts: messages to pages, and strings that a debugger or a log would show.
    pub fn texts(&self) -> usize {
        self.told.len() + self.debugged.len()
    }

    /// Returns the recorded texts that contain a secret.
    pub fn leaks(&self) -> Vec<String> {
        let plain = spellings(&self.secrets);
        let all = Needles::new([plain.clone(), spellings(&self.in_requests)].concat());
        let plain = Needles::new(plain);
        let mut leaks = Vec::new();
        let mut search = |text: &str, secrets: &Needles| {
            if secrets.is_one_in(text) {
                leaks.push(text.to_owned());
            }
        };
        // Most messages to pages are repeated, so each distinct message is searched once.
        for text in self.told.iter().collect::<BTreeSet<_>>() {
            let (address, rest) = without_address(text);
            search(&address, &plain);
            search(&rest, &all);
        }
        for text in self.debug_texts() {
            search(text, &all);
        }
        leaks
    }
}

/// Many strings to search for, indexed by their first bytes.
struct Needles {
    by_beginning: HashMap<[u8; BEGINNING], Vec<String>>,
    /// For each possible hash of a needle's first bytes, true if a needle has this hash. This check alone skips most
    /// positions in a string.
    bits: Vec<bool>,
}

/// Every needle has at least this many bytes.
const BEGINNING: usize = 8;

impl Needles {
    fn new(needles: Vec<String>) -> Self {
        let mut this = Self {
            by_beginning: HashMap::new(),
            bits: vec![false; 1 << 16],
        };
        for needle in needles {
            let beginning = *needle.as_bytes().first_chunk().unwrap();
            this.bits[Self::place(&beginning)] = true;
            this.by_beginning.entry(beginning).or_default().push(needle);
        }
        this
    }

    fn place(beginning: &[u8; BEGINNING]) -> usize {
        let mixed = u64::from_le_bytes(*beginning).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 48) as usize
    }

    fn is_one_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        text.windows(BEGINNING).enumerate().any(|(i, window)| {
            let Some(beginning) = window.first_chunk() else {
                return false;
            };
            self.bits[Self::place(beginning)]
                && self.by_beginning.get(beginning).is_some_and(|needles| {
                    let begins_here = |needle: &String| text[i..].starts_with(needle.as_bytes());
                    needles.iter().any(begins_here)
                })
        })
    }
}

/// Returns each secret unchanged, and in its common encodings.
fn spellings(secrets: &[String]) -> Vec<String> {
    let spell = |secret: &String| {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
        let hex = secret.bytes().flat_map(|b| [digit(b >> 4), digit(b & 15)]);
        let hex = hex.collect();
        // A secret within a longer base64 string can start at three offsets. The characters at its ends are left out,
        // because they depend on the neighboring bytes.
        let shifted = (0..3).map(|skip| {
            let text = base64url::encode(&secret.as_bytes()[skip..]);
            text[..text.len() - 4].to_owned()
        });
        let mut forms: Vec<String> = shifted.collect();
        let encoded = encoded(secret);
        forms.extend([secret.clone(), hex, encoded.replace("%20", "+"), encoded]);
        forms.push(in_json(secret));
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

/// Returns a string as JSON writes it, without the quotation marks.
fn in_json(text: &str) -> String {
    let json = Writer::object().text("", text).finish();
    json[r#"{"":""#.len()..json.len() - r#""}"#.len()].to_owned()
}

/// Splits a `navigate` message into its URL and the rest of the message.
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
