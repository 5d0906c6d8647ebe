//! The option `origin`: the origins at which browsers see the app.
//!
//! With an array, a request's host decides which origin the request has. Only the host of the request's URL counts, because
//! any client can send a header such as `X-Forwarded-Host`.

use rules::base::strings;
use rules::codec::json::Value;
use rules::codec::url::Url;
use rules::config::{Options, reader};
use rules::prelude::*;

/// The beginning of a host whose first label may be any.
const ANY_LABEL: &str = "*.";

/// The origins at which browsers see the app.
#[derive(Debug)]
pub enum Origins {
    /// The origin of each request's URL.
    Requested,
    /// One origin, for each request.
    One(String),
    /// The origin of the first entry that matches the host of the request's URL.
    Listed(Vec<OriginPattern>),
}

/// An entry of an array of origins.
#[derive(Debug)]
pub struct OriginPattern {
    scheme: String,
    /// The host, with the port unless it is the default of the scheme. With [`Self::has_wildcard`], the host without its
    /// first label.
    host: String,
    /// True if the host has exactly one more label, which may be any.
    has_wildcard: bool,
}

impl Origins {
    pub(super) fn read(options: &Options<'_>) -> Self {
        match options.object.get("origin") {
            None => Self::Requested,
            Some(Value::Array(items)) => Self::Listed(entries(options, items)),
            Some(value) => Self::One(one(options, value).unwrap_or_default()),
        }
    }

    /// Returns the origin that browsers see for a request with this URL. Returns `None` if no entry of the array matches
    /// the URL's host.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<String> {
        match self {
            Self::Requested => Some(origin(url)),
            Self::One(origin) => Some(origin.clone()),
            Self::Listed(entries) => entries.iter().find_map(|entry| entry.origin_at(url.host())),
        }
    }

    /// Returns true if an origin has the scheme http.
    pub(super) fn has_http(&self) -> bool {
        match self {
            Self::Requested => false,
            Self::One(origin) => origin.starts_with("http:"),
            Self::Listed(entries) => entries.iter().any(|entry| entry.scheme == "http"),
        }
    }
}

impl OriginPattern {
    /// Returns the origin at the host of a request's URL, if the entry matches this host.
    fn origin_at(&self, host: &str) -> Option<String> {
        // A proxy that ends TLS may pass the default port of https on, and the URL's own scheme is then http.
        let host = without_default_port(&self.scheme, host);
        let known = match self.has_wildcard {
            true => Some(host.split_once('.')?)
                .filter(|(label, _)| is_label(label))
                .map(|(_, below)| below),
            false => Some(host),
        };
        (known == Some(&self.host)).then(|| [&*self.scheme, "://", host].concat())
    }
}

/// Splits a URL as a proxy names it into its origin, in the form of browsers, and the rest, which stays as it is (RFC 9110
/// 4.2.3).
pub(crate) fn split(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, rest) = rest.split_at(rest.find('/')?);
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let host = without_default_port(&scheme, &host);
    Some(([&*scheme, "://", host].concat(), rest))
}

fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let default = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(default).unwrap_or(host)
}

/// Returns true for one label of a host in the URL parser's normal form.
fn is_label(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(|byte| is_part(byte) || byte == b'_')
}

fn origin(url: &Url) -> String {
    [url.scheme(), "://", url.host()].concat()
}

/// Parses an origin, which may have `*` in its host.
fn parse(value: &Value) -> Option<Url> {
    // The parser decodes escapes, which would hide a `*`.
    let text = value.as_str().filter(|text| !text.contains('%'));
    let url = text.and_then(Url::parse);
    url.filter(|url| url.is_plain() && url.path() == "/" && url.is_trustworthy())
}

fn has_star(url: &Url) -> bool {
    strings::contains_byte(url.host().as_bytes(), b'*')
}

fn one(options: &Options<'_>, value: &Value) -> Option<String> {
    const WHY: &str = msg!(
        "it must be the origin that browsers see, such as https://app.example.com, or an array of origins; http is for loopback only"
    );
    const STAR: &str =
        msg!("an origin with `*` must be in an array, such as ['https://*.preview.example.com']");
    let url = parse(value);
    let why = if url.as_ref().is_some_and(has_star) {
        STAR
    } else {
        WHY
    };
    let url = url.filter(|url| !has_star(url));
    if url.is_none() {
        options.refuse("origin", why);
    }
    url.as_ref().map(origin)
}

fn entries(options: &Options<'_>, items: &[Value]) -> Vec<OriginPattern> {
    if items.is_empty() {
        options.refuse("origin", msg!("the array must have at least one origin"));
    }
    let mut entries = Vec::new();
    for (i, item) in items.iter().enumerate() {
        match entry(item) {
            Ok(entry) => entries.push(entry),
            Err(why) => options.refuse_value(&reader::indexed("origin", i), Some(item), why),
        }
    }
    entries
}

fn entry(value: &Value) -> core::result::Result<OriginPattern, &'static str> {
    let Some(url) = parse(value) else {
        return Err(msg!(
            "it must be an origin such as https://app.example.com or https://*.preview.example.com; http is for loopback only"
        ));
    };
    let below = url.host().strip_prefix(ANY_LABEL);
    if has_star(&url) && !below.is_some_and(is_two_labels) {
        return Err(msg!(
            "`*` must be the whole first label of the host, with at least two labels after it, such as https://*.preview.example.com"
        ));
    }
    Ok(OriginPattern {
        scheme: url.scheme().to_owned(),
        host: below.unwrap_or(url.host()).to_owned(),
        has_wildcard: below.is_some(),
    })
}

/// Returns true for a host with at least two labels and no `*`.
fn is_two_labels(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    name.contains('.') && name.split('.').all(is_label)
}
