//! The spellings of a path: URLs that differ, but that a server may read as the same path.
//!
//! Servers, and proxies in front of them, may decode a path more than once (`%2561`), remove parameters before they
//! resolve dot segments (`/.;/`, Servlet containers), merge slashes, ignore case, and ignore dots and spaces at the end
//! of a name and names of streams (`::$DATA`, `:$i30:$INDEX_ALLOCATION`, Windows). Some take a file extension as the
//! format of the response (`.json`, Rails and old versions of Spring), pass the rest of a path to the script that they
//! have found (`/token.php/x`, CGI's `PATH_INFO`), or replace letters and slashes of other widths (`%EF%BC%8F`, U+FF0F).
//!
//! A reading is only compared with other readings. The request is always sent to the URL that the parser serialized.

use crate::base::strings;
use crate::codec::form::hex_value;
use crate::codec::url::Url;
use crate::prelude::*;

/// Returns the reason why no rule may allow a path: servers could resolve it to different places.
#[must_use]
pub fn fault(path: &str) -> Option<&'static str> {
    if escapes(path).any(|digits| !matches!(*digits, [high, low, ..] if is_escape(high, low))) {
        return Some(msg!(
            "the URL's path has a percent sign that begins no escape (write %25)"
        ));
    }
    let Some(decoded) = decoded(path) else {
        return Some(msg!("the URL's path, decoded, is not UTF-8"));
    };
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let is_refused = |byte: u8| byte < b' ' || matches!(byte, b'\\' | 0x7f);
    let Some(text) = text_of(path) else {
        return Some(msg!("the URL's path, decoded, is not UTF-8"));
    };
    if slashes(&decoded) != slashes(path)
        || decoded.bytes().any(is_refused)
        || escapes(&text).any(is_wide_escape)
    {
        return Some(msg!(
            "the URL's path has an escaped slash, backslash or control character, perhaps escaped more than once"
        ));
    }
    if strings::split(&text, b'/').any(is_dots) {
        return Some(msg!(
            "the URL's path has a segment that servers may read as `.` or `..`, such as `..;`"
        ));
    }
    None
}

/// Returns the origin and path of a URL as a lenient server reads them: `/%74oken`, `//Token/` and `/token.;a=b` all
/// become `/token`. Returns `None` if the decoded path is not UTF-8.
pub(crate) fn read(url: &Url) -> Option<String> {
    let path = read_path(url.path())?;
    Some([url.scheme(), ":/", url.host(), &path].concat())
}

/// Returns a path as a lenient server reads it, without a slash at its end. Returns `None` if the decoded path is not
/// UTF-8.
pub(crate) fn read_path(path: &str) -> Option<String> {
    let decoded = text_of(path)?;
    // A proxy may decode an escaped question mark, so that the server behind it reads a query.
    let (decoded, _) = strings::split_once(&decoded, b'?');
    let (decoded, _) = strings::split_once(decoded, b'#');
    let mut read = String::new();
    for segment in strings::split(decoded, b'/') {
        let name = name(segment);
        let ignored = name.bytes().rev().take_while(is_ignored).count();
        if ignored < name.len() {
            read.push('/');
            read.push_str(strings::part(name, 0, name.len() - ignored));
        }
    }
    if read.is_empty() {
        read.push('/');
    }
    read.make_ascii_lowercase();
    Some(read)
}

/// Returns true if a server may take the path `read` for the path `known`: they are equal, or differ by a file
/// extension.
pub(crate) fn is_read_as(read: &str, known: &str) -> bool {
    let more = read.strip_prefix(known);
    more.is_some_and(|more| {
        let begin = more.bytes().find(|byte| *byte != b' ');
        more.is_empty() || begin == Some(b'.') && !strings::contains_byte(more.as_bytes(), b'/')
    })
}

/// Returns true if a server may find the forbidden place `known` at the path `read`: see [`is_read_as`], or `read` is
/// below `known`, and a script there gets the rest of the path. Nothing below the root is forbidden, nor below a place
/// that ends with a question mark: there, the query decides what the server does.
pub(crate) fn may_reach(read: &str, known: &str) -> bool {
    let (place, query) = strings::split_once(known, b'?');
    if query.is_some() || place.ends_with('/') {
        return is_read_as(read, place);
    }
    let more = read.strip_prefix(place);
    more.is_some_and(|more| {
        let begin = more.bytes().find(|byte| *byte != b' ');
        more.is_empty() || matches!(begin, Some(b'.' | b'/'))
    })
}

/// Returns true if some server may read `path` as `folder`, or as a path below it. A path with a fault may be read as
/// any path.
#[must_use]
pub fn may_be_below(path: &str, folder: &str) -> bool {
    if fault(path).is_some() {
        return true;
    }
    let (Some(read), Some(folder)) = (read_path(path), read_path(folder)) else {
        return true;
    };
    let more = read.strip_prefix(folder.trim_end_matches('/'));
    more.is_some_and(|more| more.is_empty() || more.starts_with('/'))
}

/// Returns the bytes behind each percent sign.
fn escapes(text: &str) -> impl Iterator<Item = &[u8]> {
    strings::split(text, b'%').skip(1).map(str::as_bytes)
}

fn is_escape(high: u8, low: u8) -> bool {
    high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
}

/// Returns true for an escape such as `%u002f`, which IIS decodes.
fn is_wide_escape(after: &[u8]) -> bool {
    matches!(*after, [b'u' | b'U', a, b, c, d, ..] if is_escape(a, b) && is_escape(c, d))
}

/// Decodes a path, and replaces the characters that some servers take for ASCII, until nothing changes. Returns `None` if
/// the result is not UTF-8.
fn text_of(path: &str) -> Option<String> {
    let mut text = decoded(path)?;
    while !text.is_ascii() {
        let folded: String = text.chars().map(folded).collect();
        if folded == text {
            break;
        }
        // Each round leaves fewer characters that are not ASCII.
        text = decoded(&folded)?;
    }
    Some(text)
}

/// Returns the ASCII character for which some servers take this one: after Unicode normalization (NFKC), in a Windows
/// code page, or when they ignore case. A backslash counts as a slash.
fn folded(c: char) -> char {
    match c {
        // Division and fraction slash, and the big solidus.
        '\u{2215}' | '\u{2044}' | '\u{29f8}' => '/',
        // Backslashes: fullwidth, small, set minus, and the big one.
        '\u{ff3c}' | '\u{fe68}' | '\u{2216}' | '\u{29f5}' | '\u{29f9}' => '/',
        // The one dot leader and the small full stop.
        '\u{2024}' | '\u{fe52}' => '.',
        '\u{3000}' | '\u{a0}' => ' ',
        // Long s and the Kelvin sign.
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        // Fullwidth forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Decodes a path until it has no escape, also if decoded bytes form another escape. Returns `None` if the result is
/// not UTF-8. The order in which escapes are decoded does not matter, because two escapes never overlap. Each byte is
/// therefore added once, and a path with many nested escapes costs no more than another path.
fn decoded(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        out.extend_from_slice(&[byte]);
        while let [.., b'%', high, low] = *out
            && is_escape(high, low)
        {
            out.truncate(out.len() - 3);
            out.extend_from_slice(&[hex_value(high, low)]);
        }
    }
    // Some decoders read `+` as a space.
    for byte in out.iter_mut().filter(|byte| **byte == b'+') {
        *byte = b' ';
    }
    strings::from_utf8(out)
}

/// Returns a segment without its parameters and without the name of a data stream. A question mark ends the path.
fn name(segment: &str) -> &str {
    let mut rest = segment.as_bytes();
    while let [_, tail @ ..] = rest {
        if matches!(rest, [b';' | b'?' | b'#', ..] | [b':', b':' | b'$', ..]) {
            break;
        }
        rest = tail;
    }
    strings::part(segment, 0, segment.len() - rest.len())
}

/// Returns true for bytes that some servers ignore at the end of a name.
const fn is_ignored(byte: &u8) -> bool {
    matches!(*byte, b'.' | b' ')
}

/// Returns true if some server may read a segment as a dot segment.
fn is_dots(segment: &str) -> bool {
    let name = name(segment);
    name.bytes().all(|byte| is_ignored(&byte)) && strings::contains_byte(name.as_bytes(), b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_servers_resolve_differently_are_refused() {
        for path in [
            "/%2e%2e/admin",
            "/..%2fadmin",
            "/..%5cadmin",
            "/%252e%252e/admin",
            "/%25%32%65./admin",
            "/%2525252e",
            "/a%252525%32fb",
            "/a%00",
            "/a%7F",
            "/a%0D%0AX:1",
            "/a%250ab",
            "/..;/admin",
            "/.;/admin",
            "/.;a=b/admin",
            "/%2e;/admin",
            "/..%3b/admin",
            "/.%25253B/admin",
            "/..%20/admin",
            "/..+/admin",
            "/..%3Fx/admin",
            "/..::$INDEX_ALLOCATION/admin",
            "/.../admin",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%u002f",
            "/a%25u002fb",
            "/%c0%ae%c0%ae/admin",
            "/a%25ff",
            "/..%EF%BC%8Fadmin",
            "/%E2%80%A4%E2%80%A4/admin",
            "/%EF%BC%8E%2e/admin",
            "/a%EF%BC%BC..%EF%BC%BCadmin",
            "/a/%EF%BC%852e%EF%BC%852e/admin",
        ] {
            assert!(fault(path).is_some(), "{path}");
        }
        for path in [
            "/a%20b",
            "/%C3%A9",
            "/a%3Ab",
            "/a.b/..c",
            "/a%2520b",
            "/a;b",
            "/a%3bb",
            "/a..%20b",
            "/a%2eb",
            "/100%25",
            "/100%25/x",
            "/100%2525",
            "/100%25%C3%A9",
            "/50%25unit",
            "/what%3F",
            "/users/1:archive",
            "/%EF%BC%A1%EF%BC%8F%EF%BC%A2",
            "/a%E2%88%95b%E2%80%A4c",
            "/%E5%90%8D%E3%80%80",
        ] {
            assert_eq!(fault(path), None, "{path}");
        }
    }

    #[test]
    fn reasons_are_true() {
        for (path, reason) in [
            ("/a%zz", "begins no escape"),
            ("/a%ff", "not UTF-8"),
            ("/a%252fb", "an escaped slash"),
            ("/.;/b", "may read as `.`"),
        ] {
            assert!(fault(path).unwrap().contains(reason), "{path}");
        }
    }

    #[test]
    fn spellings_have_one_reading() {
        for path in [
            "/a/token",
            "//A//%74oken//",
            "/a;b=c/token;d",
            "/a/token%20/",
            "/a/%2574oken",
            "/a/%25252574%6fken",
            "/a./token.",
            "/a.;b/token..%20.",
            "/a/token::$DATA",
            "/a/token:$i30:$INDEX_ALLOCATION",
            "/a::$index_allocation/token",
            "/a/token%3Fb/c",
            "/;a/a/token+",
            "/a/./%2e/token",
            "/a%EF%BC%8Ftoken",
            "/a%E2%88%95token",
            "/a%E2%81%84token",
            "/a%25EF%25BC%258Ftoken",
            "/%EF%BD%81/%EF%BC%B4OKEN",
            "/a/to%E2%84%AAen",
            "/a%EF%BC%9Bb/token%EF%BC%8E",
            "/a/%EF%BC%8574oken",
            "/a%EF%BC%BCtoken",
        ] {
            assert_eq!(read_path(path).as_deref(), Some("/a/token"), "{path}");
        }
        for path in ["/", "//", "/.", "/;a"] {
            assert_eq!(read_path(path).as_deref(), Some("/"), "{path}");
        }
        assert_ne!(read_path("/b/token"), read_path("/a/token"));
        assert_eq!(read_path("/%ff"), None);
    }

    #[test]
    fn reading_does_not_change_when_read_again() {
        for path in ["/a/token", "/a b/100%25", "/A;b/c.", "/"] {
            let url = Url::parse(&["https://id.test", path].concat()).unwrap();
            let read_once = read(&url).unwrap();
            let again = Url::parse(&read_once).unwrap();
            assert_eq!(read(&again), Some(read_once), "{path}");
        }
    }

    #[test]
    fn extensions_and_folders_are_compared_by_segment() {
        for (read, is_it) in [
            ("/a/token", true),
            ("/a/token.json", true),
            ("/a/token.tar.gz", true),
            ("/a/token ..json", true),
            ("/a/token x", false),
            ("/a/tokens", false),
            ("/a/token.x/y", false),
            ("/a", false),
        ] {
            assert_eq!(is_read_as(read, "/a/token"), is_it, "{read}");
        }
        for (path, is_it) in [
            ("/api", true),
            ("/API/x", true),
            ("/%2561pi/x", true),
            ("/api;a/x", true),
            ("/x/..%2fapi", true),
            ("/apis", false),
            ("/x/api/y", false),
            ("/", false),
        ] {
            assert_eq!(may_be_below(path, "/Api/"), is_it, "{path}");
        }
        assert!(may_be_below("/x", "/"));
    }

    // claim: script-8
    #[test]
    fn nothing_below_a_forbidden_place_is_reached() {
        for (read, known, is_it) in [
            ("/a/token", "/a/token", true),
            ("/a/token/x", "/a/token", true),
            ("/a/token.php/x/y", "/a/token", true),
            ("/a/token.json", "/a/token", true),
            ("/a/tokens", "/a/token", false),
            ("/a/token x", "/a/token", false),
            ("/a", "/a/token", false),
            ("/", "/", true),
            ("/x", "/", false),
            ("/index.php", "/index.php?", true),
            ("/index.php/x", "/index.php?", false),
        ] {
            assert_eq!(may_reach(read, known), is_it, "{read} {known}");
        }
    }

    #[test]
    fn nested_escapes_cost_no_more_than_others() {
        // Rounds over the whole path would take 4000 times as many steps here.
        let nested = ["/%", &"25".repeat(4000), "41"].concat();
        assert_eq!(read_path(&nested).as_deref(), Some("/a"));
    }
}
