//! Reading the browser's cookies and writing the handler's own (RFC 6265bis).
//!
//! With the prefix `__Host-`, browsers guarantee that a cookie was set over https by this host for all of its paths, so
//! no sibling domain can inject such a cookie. If a request has two cookies with the same name, neither is used,
//! because this handler did not write both.

use rules::prelude::*;

use crate::config::{Config, SameSite};
use rules::base::clock::Millis;
use rules::base::http::is_token;
use rules::base::strings;
use rules::codec::json;

/// Longest value in one cookie. Browsers accept at least 4096 bytes of name, value and attributes (RFC 6265 6.1), and
/// nginx by default 4096 bytes for all headers of a response.
pub(crate) const PIECE: usize = 3300;

/// Maximum number of cookies for one value: see [`LONGEST_HEADER`].
const MOST_PIECES: usize = 2;

/// Longest name and value together that browsers accept (RFC 6265bis 5.5).
const LONGEST: usize = 4096;

/// Longest header that the cookies of all tenants make together. nginx and Apache refuse a header of more than 8 KB, and
/// Node more than 16 KB of headers. They would refuse every request of the browser, a logout too, so the user could not
/// get rid of the cookies.
const LONGEST_HEADER: usize = 8000;

/// Maximum number of logins that one response clears, so that its headers fit into a small buffer: see [`PIECE`].
const MOST_CLEARED: usize = 8;

/// Number of logins that stay although the app has many other cookies: see [`Jar::clear_logins`].
const MOST_BESIDE_OTHERS: usize = 2;

/// The cookies of a request.
pub(crate) struct Cookies<'a>(&'a str);

/// The value that a browser sent under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CookieValue {
    /// The request has no such cookie.
    Missing,
    /// The value.
    Value(String),
    /// Several cookies have the same name, or parts of a value are missing.
    Malformed,
}

impl<'a> Cookies<'a> {
    pub(crate) fn new(header: Option<&'a str>) -> Self {
        Self(header.unwrap_or_default())
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        strings::split(self.0, b';').map(|pair| {
            let (name, value) = strings::split_once(pair, b'=');
            (name.trim_ascii(), value.unwrap_or_default().trim_ascii())
        })
    }

    /// Returns the cookie names that start with `beginning`. The handler writes these names into `Set-Cookie`, so names
    /// that are not HTTP tokens are left out.
    pub(crate) fn names(&self, beginning: &str) -> Vec<&'a str> {
        let names = self.pairs().map(|(name, _)| name);
        names
            .filter(|name| name.starts_with(beginning) && is_token(name))
            .collect()
    }

    /// Returns the bytes that cookies with names for which `is_counted` returns true take in the header.
    fn size(&self, is_counted: impl Fn(&str) -> bool) -> usize {
        let pairs = self.pairs().filter(|(name, _)| is_counted(name));
        pairs.map(|(name, value)| size(name, value)).sum()
    }

    /// Returns the value of the cookie with this name.
    pub(crate) fn value(&self, name: &str) -> CookieValue {
        let mut of_name = self.pairs().filter(|(known, _)| *known == name);
        match (of_name.next(), of_name.next()) {
            (None, _) => CookieValue::Missing,
            (Some((_, value)), None) => CookieValue::Value(value.to_owned()),
            _ => CookieValue::Malformed,
        }
    }

    /// Returns the value that [`Jar::set_session`] wrote into one or more cookies.
    pub(crate) fn joined(&self, name: &str) -> CookieValue {
        let first = match self.value(name) {
            CookieValue::Value(first) => first,
            other => return other,
        };
        // The first cookie has `<count>~<first part>`, or the whole value without a count.
        let (count, beginning) = strings::split_once(&first, b'~');
        let Some(beginning) = beginning else {
            return CookieValue::Value(first);
        };
        let Some(count) = json::parse_u64(count).filter(|n| (2..=MOST_PIECES as u64).contains(n))
        else {
            return CookieValue::Malformed;
        };
        let mut whole = beginning.to_owned();
        for i in 1..count {
            match self.value(&piece_name(name, i)) {
                CookieValue::Value(piece) => whole.push_str(&piece),
                _ => return CookieValue::Malformed,
            }
        }
        CookieValue::Value(whole)
    }
}

/// Returns the bytes that a cookie takes in the header `Cookie`.
const fn size(name: &str, value: &str) -> usize {
    name.len() + "=; ".len() + value.len()
}

fn piece_name(name: &str, i: u64) -> String {
    let mut piece = [name, "."].concat();
    json::write_number(&mut piece, i);
    piece
}

/// The writer of the `Set-Cookie` headers for one response.
pub(crate) struct Jar<'a> {
    config: &'a Config,
    is_secure: bool,
}

impl<'a> Jar<'a> {
    /// Creates a writer for an app on this origin. Plain http is allowed for loopback only. There, cookies have neither
    /// `Secure` nor a prefix, because browsers do not agree about `Secure` over plain http.
    pub(crate) fn new(config: &'a Config, origin: &str) -> Self {
        Self {
            config,
            is_secure: origin.starts_with("https:"),
        }
    }

    fn prefix(&self) -> &'static str {
        match (self.is_secure, self.config.cookie.http_prefix) {
            (false, _) => "",
            (true, false) => "__Host-",
            (true, true) => "__Host-Http-",
        }
    }

    /// Returns the name of the session's cookie.
    pub(crate) fn session(&self) -> String {
        [self.prefix(), &self.config.cookie.name].concat()
    }

    /// Returns the names of all cookies that [`Self::set_session`] writes.
    fn session_names(&self) -> [String; MOST_PIECES] {
        let name = self.session();
        core::array::from_fn(|i| match i {
            0 => name.clone(),
            i => piece_name(&name, i as u64),
        })
    }

    /// Returns the name of the cookie for the login with this key. If the key is empty, returns the prefix of all such
    /// names.
    pub(crate) fn login(&self, key: &str) -> String {
        [self.prefix(), &self.config.cookie.name, "-login-", key].concat()
    }

    /// Returns `SameSite` of the session's cookie. A login's cookie has `Lax`, since the provider's response is a
    /// navigation from another site.
    fn same_site(&self) -> &'static str {
        match self.config.cookie.same_site {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
        }
    }

    /// Writes the session's value into as many cookies as needed. Clears leftover cookies of an earlier, longer value, and
    /// the oldest logins if the header would be too long. Returns `None` if the value is too long.
    pub(crate) fn set_session(
        &self,
        had: &Cookies<'_>,
        value: &str,
        age: Millis,
    ) -> Option<Vec<String>> {
        let name = self.session();
        let pieces: Vec<&str> = pieces_of(value);
        if pieces.len() > MOST_PIECES {
            return None;
        }
        let mut set = Vec::new();
        for (i, piece) in pieces.iter().enumerate() {
            let cookie = if i > 0 {
                self.write(
                    &piece_name(&name, i as u64),
                    piece,
                    self.same_site(),
                    Some(age),
                )
            } else if pieces.len() == 1 {
                self.write(&name, piece, self.same_site(), Some(age))
            } else {
                let first = [&json::digits(pieces.len() as u64), "~", piece].concat();
                self.write(&name, &first, self.same_site(), Some(age))
            };
            set.push(cookie);
        }
        let stale = &self.session_names()[pieces.len()..];
        set.extend(self.clear_own(had, stale));
        let taken = value.len() + pieces.len() * size(&piece_name(&name, 1), "2~");
        let taken = taken + self.size_beside_session(had);
        set.extend(self.clear_logins(had, taken, None));
        Some(set)
    }

    /// Clears the session's cookies.
    pub(crate) fn clear_session(&self, had: &Cookies<'_>) -> Vec<String> {
        let mut cleared = self.clear_own(had, &self.session_names());
        // Without its bound cookie, the browser asks to renew it, and learns that the session has ended.
        if let Some(name) = self.bound()
            && had.value(&name) != CookieValue::Missing
        {
            cleared.push(self.clear(&name));
        }
        cleared
    }

    /// Clears those of the session's cookies with these names that the browser has.
    fn clear_own(&self, had: &Cookies<'_>, names: &[String]) -> Vec<String> {
        let had = names
            .iter()
            .filter(|name| had.value(name) != CookieValue::Missing);
        had.map(|name| self.write(name, "", self.same_site(), Some(Millis::ZERO)))
            .collect()
    }

    /// Returns the header `Cookie` without the cookies of this handler and of all tenants.
    pub(crate) fn without_own(&self, had: &Cookies<'_>) -> String {
        let is_own = |name: &str| name == self.outside() || self.is_of_any_tenant(name);
        let mut kept = String::new();
        for pair in strings::split(had.0, b';').map(str::trim_ascii) {
            let (name, _) = strings::split_once(pair, b'=');
            if !pair.is_empty() && !is_own(name.trim_ascii()) {
                kept.push_str(if kept.is_empty() { "" } else { "; " });
                kept.push_str(pair);
            }
        }
        kept
    }

    /// Returns the name of the cookie that says that the user is signed out in this browser. A login clears
    /// this cookie.
    pub(crate) fn left(&self) -> String {
        [self.prefix(), &self.config.cookie.name, "-left"].concat()
    }

    /// Returns the name of the cookie that says that a navigation may still be one that began outside the app. The name
    /// does not depend on the configuration, so that all handlers of a host share this cookie: a page of one handler can
    /// turn the navigation of another site into one of the app's origin, which then reaches a route of another handler.
    pub(crate) const fn outside(&self) -> &'static str {
        if self.is_secure {
            "__Host-strongroom-outside"
        } else {
            "strongroom-outside"
        }
    }

    /// Returns the name of the bound cookie, or `None` if the browser binds no cookie here: it binds only cookies with the
    /// prefix `__Host-`.
    pub(crate) fn bound(&self) -> Option<String> {
        let is_bindable = self.is_secure && !self.config.cookie.http_prefix;
        is_bindable.then(|| [self.prefix(), &self.config.cookie.name, "-bound"].concat())
    }

    /// Returns the name of the cookie with which the registration of a key is offered again after it has failed. A
    /// registration reads no cookies, so it must not write the cookie of a second offer: that may be another session's.
    pub(crate) fn bind_failed(&self) -> String {
        [self.prefix(), &self.config.cookie.name, "-bind-failed"].concat()
    }

    /// Returns the name of the cookie with which the registration of a key may be offered a second time.
    pub(crate) fn unbound(&self) -> String {
        [self.prefix(), &self.config.cookie.name, "-unbound"].concat()
    }

    /// Returns the name of the cookie that says that this browser has bound a session before.
    pub(crate) fn binds(&self) -> String {
        [self.prefix(), &self.config.cookie.name, "-binds"].concat()
    }

    /// Returns the attributes of the bound cookie, which browsers compare with the cookie that they get.
    pub(crate) fn bound_attributes(&self) -> String {
        let cookie = self.write("", "", "Lax", None);
        cookie.strip_prefix("=; ").unwrap_or(&cookie).to_owned()
    }

    /// Returns the name of the cookie with the hash of the address to which a page of the handler has repeated a navigation.
    pub(crate) fn repeated(&self) -> String {
        [self.prefix(), &self.config.cookie.name, "-repeated"].concat()
    }

    /// Writes a cookie with `SameSite=Lax`, such as the bound cookie.
    pub(crate) fn set_lax(&self, name: &str, value: &str, age: Millis) -> String {
        self.write(name, value, "Lax", Some(age))
    }

    /// Writes a cookie that says something by its name alone.
    pub(crate) fn mark(&self, name: &str, age: Millis) -> String {
        self.write(name, "1", "Lax", Some(age))
    }

    /// Writes the cookie that says that a navigation may have begun outside the app. The cookie lasts as long as the
    /// browser's session.
    pub(crate) fn set_outside(&self, value: &str) -> String {
        self.write(self.outside(), value, "Lax", None)
    }

    /// Writes a login's cookie.
    pub(crate) fn set_login(&self, key: &str, value: &str, age: Millis) -> String {
        self.write(&self.login(key), value, "Lax", Some(age))
    }

    /// Clears a login's cookie.
    pub(crate) fn clear(&self, name: &str) -> String {
        self.write(name, "", "Lax", Some(Millis::ZERO))
    }

    /// Returns true for a cookie of any tenant: all of them share the browser's header.
    fn is_of_any_tenant(&self, name: &str) -> bool {
        let more = name.strip_prefix(self.prefix());
        let more = more.and_then(|name| name.strip_prefix(&*self.config.cookie.common_name));
        more.is_some_and(|more| more.is_empty() || more.starts_with(['.', '-']))
    }

    /// Returns the tenant's part of the name of a login's cookie of any tenant, or `None` for another cookie. The names of
    /// all tenants have one length: see [`Config::with_tenant`].
    fn tenant_of_login<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (tenant, rest) = name.split_at_checked(self.session().len())?;
        (self.is_of_any_tenant(name) && rest.starts_with("-login-")).then_some(tenant)
    }

    /// Returns true for a cookie of any tenant that is not cleared to make room, such as a session's.
    fn stays(&self, name: &str) -> bool {
        self.is_of_any_tenant(name) && self.tenant_of_login(name).is_none()
    }

    /// Returns the bytes of the cookies that stay, without those of this tenant's session.
    fn size_beside_session(&self, had: &Cookies<'_>) -> usize {
        let session = self.session_names();
        had.size(|name| self.stays(name) && !session.iter().any(|piece| piece == name))
    }

    /// Returns the longest value of the cookie of the login with this key, so that this cookie and the sessions fit into
    /// the header.
    pub(crate) fn room_for_login(&self, had: &Cookies<'_>, key: &str) -> usize {
        let taken = had.size(|name| self.stays(name));
        LONGEST_HEADER.saturating_sub(taken + size(&self.login(key), ""))
    }

    /// Clears the oldest logins, so that at most `most` stay beside the login with this value, and so that they fit into the
    /// header with it.
    pub(crate) fn make_room(
        &self,
        had: &Cookies<'_>,
        (key, value): (&str, &str),
        most: usize,
    ) -> Vec<String> {
        let room = self.room_for_login(had, key).saturating_sub(value.len());
        self.clear_logins(had, LONGEST_HEADER - room, Some(most))
    }

    /// Clears the oldest logins, so that the others fit into the header with this cookie, in place of this tenant's session.
    pub(crate) fn make_room_after_session(
        &self,
        had: &Cookies<'_>,
        (key, value): (&str, &str),
    ) -> Vec<String> {
        let taken = self.size_beside_session(had) + size(&self.login(key), value);
        self.clear_logins(had, taken, None)
    }

    /// Clears the oldest logins of all tenants, so that the others fit into the header with cookies of `taken` bytes. With
    /// `most`, a login of this tenant begins, and at most `most` others stay.
    ///
    /// The newest login of each other tenant counts, too, but is cleared only if there is no room for it: otherwise a page of
    /// one tenant could end the logins at all others. The app's own cookies take room, but not that of two logins:
    /// otherwise an app with many cookies would lose the logins of its restored tabs.
    fn clear_logins(&self, had: &Cookies<'_>, taken: usize, most: Option<usize>) -> Vec<String> {
        // Browsers send older cookies first (RFC 6265 5.4), so the last names are those of the newest logins.
        let logins: Vec<_> = had
            .pairs()
            .filter_map(|(name, value)| {
                Some((name, self.tenant_of_login(name)?, size(name, value)))
            })
            .collect();
        let own = self.session();
        let mut seen: Vec<&str> = most.map(|_| &*own).into_iter().collect();
        let (newest, older): (Vec<_>, Vec<_>) = logins.iter().rev().partition(|(_, tenant, _)| {
            let is_newest = !seen.contains(tenant);
            seen.push(tenant);
            is_newest
        });
        let mut room = LONGEST_HEADER.saturating_sub(taken);
        let mut rest = room.saturating_sub(had.size(|name| !self.is_of_any_tenant(name)));
        let mut kept = Vec::new();
        for (group, most) in [(newest, usize::MAX), (older, most.unwrap_or(usize::MAX))] {
            for &(name, _, size) in group {
                let is_small = size <= room && kept.len() < MOST_BESIDE_OTHERS;
                if kept.len() >= most || !(is_small || size <= rest) {
                    // All older ones go, too.
                    break;
                }
                room = room.saturating_sub(size);
                rest = rest.saturating_sub(size);
                kept.push(name);
            }
        }
        let gone = logins.iter().map(|&(name, ..)| name);
        let gone = gone.filter(|name| !kept.contains(name) && is_token(name));
        gone.take(MOST_CLEARED)
            .map(|name| self.clear(name))
            .collect()
    }

    /// Writes a cookie. Without an age, the cookie lasts as long as the browser's session (RFC 6265 5.3).
    fn write(&self, name: &str, value: &str, same_site: &str, age: Option<Millis>) -> String {
        let mut cookie = [name, "=", value, "; Path=/; HttpOnly; SameSite=", same_site].concat();
        if self.is_secure {
            cookie.push_str("; Secure");
        }
        if let Some(age) = age {
            cookie.push_str("; Max-Age=");
            json::write_number(&mut cookie, age.as_secs());
        }
        cookie
    }
}

/// Returns true if browsers accept a cookie with this name and value.
pub(crate) fn fits(name: &str, value: &str) -> bool {
    name.len() + value.len() <= LONGEST
}

fn pieces_of(value: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = value;
    // Sealed values are ASCII, so each position is a character boundary.
    while let Some((piece, tail)) = rest.split_at_checked(PIECE) {
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}
