//! The option `guards`: the sites about whose requests a reverse proxy asks the handler.

use rules::prelude::*;

use rules::Secret;
use rules::base::strings;
use rules::codec::json::{Object, Value};
use rules::config::Options;
use rules::oauth::identity::is_unverified;

/// The smallest length of a guard's secret, in bytes.
const SHORTEST_SECRET: usize = 32;

/// A site behind a reverse proxy that asks about each request.
#[derive(Debug)]
pub(crate) struct Guard {
    /// The name in the path of the check.
    pub(crate) name: String,
    /// The secret that the proxy sends with each check.
    pub(crate) secret: Secret,
    /// Claims with what is allowed. The user must have an allowed value of each claim.
    pub(crate) allow: Vec<(String, Allowed)>,
    /// Headers for the site, each with the name of a claim.
    pub(crate) identity: Vec<(String, String)>,
}

/// The allowed values of a claim.
#[derive(Debug)]
pub(crate) enum Allowed {
    Values(Vec<String>),
    /// The e-mail addresses at these domains.
    Domains(Vec<String>),
}

impl Allowed {
    fn has(&self, value: &str) -> bool {
        match self {
            Self::Values(values) => values.iter().any(|known| known == value),
            Self::Domains(domains) => domain_of(value).is_some_and(|domain| {
                domains
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(domain))
            }),
        }
    }
}

/// Returns the domain of an e-mail address. Servers read a quoted part, and characters that RFC 5322 3.2.3 does not allow
/// without quotes, in different ways, so such an address has no domain.
fn domain_of(address: &str) -> Option<&str> {
    let (local, domain) = address.rsplit_once('@')?;
    let is_plain =
        |b: u8| b.is_ascii_alphanumeric() || strings::contains_byte(b"!#$%&'*+-/=?^_`{|}~.", b);
    (!local.is_empty() && local.bytes().all(is_plain)).then_some(domain)
}

/// Reads the guards.
pub(super) fn read(options: &Options<'_>) -> Vec<Guard> {
    const WHY: &str = msg!("it must be an object such as { secret: (env) => env.CHECK_SECRET }");
    const NAME: &str =
        msg!("the name of a guard must have 1 to 32 letters in lower case, digits and hyphens");
    let guards = options.nested("guards", "guards.", WHY);
    let mut read = Vec::new();
    for (name, _) in guards.object.iter() {
        if !is_name(name) {
            guards.refuse_unseen(name, NAME);
        }
        let path = ["guards.", name, "."].concat();
        let guard = guards.nested(name, &path, WHY);
        guard.refuse_others("allow identity secret");
        read.push(Guard {
            name: name.to_owned(),
            secret: secret(&guard),
            allow: allow(&guard),
            identity: identity(&guard),
        });
    }
    read
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(is_part)
}

fn secret(guard: &Options<'_>) -> Secret {
    const WHY: &str = msg!(
        "it must be at least 32 characters of visible ASCII, such as the output of openssl rand -base64 32"
    );
    let secret = guard.secret("secret", WHY);
    let is_sound = |byte: u8| byte.is_ascii_graphic();
    if secret.len() < SHORTEST_SECRET || !secret.bytes().all(is_sound) {
        guard.refuse_unseen("secret", WHY);
    }
    secret.into()
}

fn allow(guard: &Options<'_>) -> Vec<(String, Allowed)> {
    const WHY: &str = msg!("it must be an object such as { groups: ['staff', 'admin'] }");
    const DOMAIN: &str =
        msg!("for everybody of a domain, write email: { domain: ['example.com'] }");
    let path = [guard.path, "allow."].concat();
    let claims = guard.nested("allow", &path, WHY);
    // An object without claims would let every user in. Only a missing option says that.
    if claims.object.iter().next().is_none() && guard.object.get("allow").is_some() {
        guard.refuse_unseen("allow", WHY);
    }
    let of_claim = |(name, value): (&str, &Value)| {
        if name == EMAIL && value.as_object().is_some() {
            return (name.to_owned(), Allowed::Domains(domains(&claims)));
        }
        let values = claims.strings(name, "", WHY);
        // An empty list would let no user in, which is hardly meant.
        if values.is_empty() {
            claims.refuse(name, WHY);
        }
        let is_domain = |value: &String| value.starts_with('@') || value.starts_with("*@");
        if name == EMAIL && values.iter().any(is_domain) {
            claims.refuse(name, DOMAIN);
        }
        (name.to_owned(), Allowed::Values(values))
    };
    claims.object.iter().map(of_claim).collect()
}

const EMAIL: &str = "email";

/// Reads the domains of e-mail addresses.
fn domains(claims: &Options<'_>) -> Vec<String> {
    const WHY: &str = msg!("it must be an object such as { domain: ['example.com'] }");
    const NAME: &str = msg!(
        "it must be an array of domains such as ['example.com'], each without @ or *: subdomains do not count"
    );
    let path = [claims.path, EMAIL, "."].concat();
    let rule = claims.nested(EMAIL, &path, WHY);
    rule.refuse_others("domain");
    let domains = rule.strings("domain", "", NAME);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_part);
    if domains.is_empty() || !domains.iter().all(|name| name.split('.').all(is_label)) {
        rule.refuse("domain", NAME);
    }
    domains
}

fn identity(guard: &Options<'_>) -> Vec<(String, String)> {
    const WHY: &str = msg!(
        "it must be an object of headers with the names of claims, such as { 'X-User-Email': 'email' }"
    );
    const NAME: &str = msg!(
        "the header must end in a word about the user (user, username, uid, id, sub, email, name, login, groups or roles), as in X-User-Email, have letters, digits and hyphens only, and not be one that proxies use, such as X-Forwarded-User"
    );
    let path = [guard.path, "identity."].concat();
    let headers = guard.nested("identity", &path, WHY);
    let mut read: Vec<(String, String)> = Vec::new();
    for (name, claim) in headers.object.iter() {
        let lower = name.to_ascii_lowercase();
        if !is_identity_header(&lower) || read.iter().any(|(known, _)| *known == lower) {
            headers.refuse_unseen(name, NAME);
        }
        let Some(claim) = claim.as_str() else {
            headers.refuse(name, WHY);
            continue;
        };
        read.push((lower, claim.to_owned()));
    }
    read
}

/// The beginnings of headers that browsers, proxies, platforms or this handler use.
const TAKEN: &str = "content- last-event- proxy- sec- x-accel- x-amzn- x-correlation- x-forward x-http- x-middleware- \
    x-original- x-real- x-request- x-rewrite- x-sendfile x-strongroom x-trace-";

/// The last words of headers that say something about a user: also preferred-username, given-name and family-name.
const OF_A_USER: &str = "user username uid id sub email name login groups roles";

/// Returns true for a header that a site can read as a statement about its user, with a name in lower case. Other headers,
/// such as X-Method-Override or Remote-Addr, may decide how the site reads the request.
fn is_identity_header(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_of_a_user = |(prefix, word): (&str, &str)| {
        !prefix.is_empty() && strings::contains_word(OF_A_USER, word)
    };
    name.rsplit_once('-').is_some_and(is_of_a_user)
        && name.bytes().all(is_part)
        && !strings::split(TAKEN, b' ').any(|beginning| name.starts_with(beginning))
}

impl Guard {
    /// Returns the claims that decide who may enter, or that the site gets.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        let allow = self.allow.iter().map(|(claim, _)| claim.as_str());
        allow.chain(self.identity.iter().map(|(_, claim)| claim.as_str()))
    }

    /// Returns the number of the first claim that keeps a user with these claims out, and the reason, without a value.
    pub(crate) fn refusal(&self, claims: &Object) -> Option<(usize, String)> {
        let mut rules = self.allow.iter().enumerate();
        rules.find_map(|(i, (name, allowed))| {
            let has = |claim: &Value| claim.as_str().is_some_and(|text| allowed.has(text));
            let (before, after) = match claim(claims, name) {
                Some(Value::Array(items)) if items.iter().any(has) => return None,
                Some(value) if has(value) => return None,
                Some(_) => (msg!("no value of `"), msg!("` is allowed")),
                None if claims.get(name).is_some() => {
                    (msg!("the provider has not verified `"), "`")
                }
                None => (msg!("no claim `"), "`"),
            };
            let mut why = [before, name, after].concat();
            let (first, rest) = strings::split_once(name, b'.');
            if claims.get(name).is_none()
                && rest.is_some()
                && claims.get(first).and_then(Value::as_object).is_some()
            {
                why.push_str(msg!(
                    " (the name is taken literally: members of another claim, which is an object, cannot be named)"
                ));
            }
            Some((i, why))
        })
    }
}

/// Returns a claim of the user. A claim that the provider has not verified is missing (OIDC Core 5.1, `email_verified`).
pub(crate) fn claim<'a>(claims: &'a Object, name: &str) -> Option<&'a Value> {
    let claim = claims.get(name);
    claim.filter(|_| !is_unverified(claims, name))
}
