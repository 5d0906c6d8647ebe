//! Random spellings of paths, and random servers that read them. A rule for one URL, and the ban on the provider's
//! endpoints, must decide about each spelling as about the plain path, and no spelling may lead out of a folder. The
//! comparison must not change the URL that is sent.
//!
//! The servers are written independently of the policy: each is a sequence of steps that real servers and proxies
//! perform, in any order and number.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use kit::dice::Dice;
use rules::base::error::Code;
use rules::codec::url::Url;
use rules::egress::policy::{EgressPolicy, Rule};

const ORIGIN: &str = "https://api.example.com";
const EXACT: &str = "/v1/me";
const FORBIDDEN: &str = "/v1/oauth/token";

/// Returns a policy with a rule for `/v1/me` within a folder that allows other methods, and with a forbidden endpoint.
fn policy() -> EgressPolicy {
    let url = |path: &str| Url::parse(&[ORIGIN, path].concat()).unwrap();
    let methods = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut policy = EgressPolicy::new(vec![
        Rule::new(url("/v1/"), methods(&["PUT"])).unwrap(),
        Rule::exact(url(EXACT), methods(&["GET"])).unwrap(),
    ]);
    policy.forbid(&[&[ORIGIN, FORBIDDEN].concat()]);
    policy
}

/// Escapes a character, and then perhaps characters of the escape.
fn escaped(c: char, dice: &mut Dice) -> String {
    let mut text = format!("%{:02x}", c as u32);
    if dice.roll(2) == 0 {
        text = text.to_ascii_uppercase();
    }
    while dice.roll(3) == 0 {
        let at = dice.roll(text.len());
        let inner = text.remove(at);
        text.insert_str(at, &format!("%{:02X}", inner as u32));
    }
    text
}

/// Returns a character that some servers take for `c`.
fn lookalike(c: char, dice: &mut Dice) -> char {
    match c {
        '/' => dice.pick(&['\u{ff0f}', '\u{2215}', '\u{2044}']),
        '.' => dice.pick(&['\u{ff0e}', '\u{2024}']),
        'k' if dice.roll(2) == 0 => '\u{212a}',
        _ => char::from_u32(c as u32 + 0xfee0).unwrap(),
    }
}

/// Returns another spelling of a path.
fn spelled(path: &str, dice: &mut Dice) -> String {
    let mut text = String::new();
    for segment in path.split('/').skip(1) {
        text.push('/');
        let before = ["", "", "", "/", ";a/", ".;/", "%20/", ".;a=%2525b/"];
        text.push_str(dice.pick(&before));
        for c in segment.chars() {
            match dice.roll(8) {
                0 | 1 => text.push_str(&escaped(c, dice)),
                2 | 3 => text.push(c.to_ascii_uppercase()),
                4 => text.push(lookalike(c, dice)),
                _ => text.push(c),
            }
        }
        let after = [
            "", "", "", ".", "..", "%2e", "%20.", ";a=b", ".;a;b", "%3ba", "%253ba", "::$DATA",
            "%2B",
        ];
        text.push_str(dice.pick(&after));
    }
    text + dice.pick(&["", "", "/", "//", ".json", "%3Fa", "?a=b", "#c"])
}

/// Returns the code of the decision about a URL, or `None` if it is allowed. Checks the URL that is sent.
fn decision(policy: &EgressPolicy, path: &str, method: &str) -> Option<Code> {
    let text = [ORIGIN, path].concat();
    match policy.authorize(&text, method) {
        Ok(allowed) => {
            let mut parsed = url::Url::parse(&text).unwrap();
            parsed.set_fragment(None);
            assert_eq!(allowed.url(), parsed.as_str(), "{path}");
            None
        }
        Err(error) => Some(error.code()),
    }
}

/// Returns the path as the parser serializes it.
fn parsed(path: &str) -> String {
    let url = url::Url::parse(&[ORIGIN, path].concat()).unwrap();
    url.path().to_owned()
}

// claim: script-8, script-9
#[test]
fn spellings_are_refused_as_the_plain_path_is() {
    let policy = policy();
    assert_eq!(decision(&policy, EXACT, "GET"), None);
    assert_eq!(
        decision(&policy, EXACT, "PUT"),
        Some(Code::MethodNotAllowed)
    );
    assert_eq!(
        decision(&policy, FORBIDDEN, "PUT"),
        Some(Code::UrlNotAllowed)
    );
    let mut dice = Dice::new(1);
    let mut others = 0;
    for _ in 0..20_000 {
        let path = spelled(EXACT, &mut dice);
        assert!(decision(&policy, &path, "PUT").is_some(), "{path}");
        let is_plain = parsed(&path) == EXACT;
        let expected = (!is_plain).then_some(Code::UrlNotAllowed);
        assert_eq!(decision(&policy, &path, "GET"), expected, "{path}");
        others += usize::from(!is_plain);
        let path = spelled(FORBIDDEN, &mut dice);
        // A script may get the rest of the path.
        let (before_query, _) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        for path in [&path, &[before_query, "/x"].concat()] {
            let found = decision(&policy, path, "PUT");
            assert_eq!(found, Some(Code::UrlNotAllowed), "{path}");
        }
    }
    assert!(others > 15_000, "{others}");
}

#[test]
fn other_paths_are_sent_unchanged() {
    let policy = policy();
    for path in [
        "/v1/mean",
        "/v1/me/x",
        "/v1/x/me",
        "/v1/oauth/tokens",
        "/v1/oauth",
        "/v1/100%25",
        "/v1/100%25%20off/a%2526b?c=%2e%2e/#d",
        "/v1/a+b;c=d/.e/f..g",
        "/v1/users/1:archive",
        "/v1/report.json",
    ] {
        assert_eq!(decision(&policy, path, "PUT"), None, "{path}");
    }
}

/// A step of a server that reads a path.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Decodes each escape once.
    Decode,
    /// Reads `+` as a space.
    Plus,
    /// Removes `;` and the rest of the segment.
    Parameters,
    /// Cuts the path at a question mark.
    Query,
    MergeSlashes,
    Backslashes,
    ResolveDots,
    Case,
    /// Removes dots and spaces at the end of each segment that has another name.
    FinalDots,
    /// Removes the name of a data stream.
    Streams,
    /// Replaces characters of other widths.
    Normalize,
}

const STEPS: [Step; 13] = [
    Step::Decode,
    Step::Decode,
    Step::Decode,
    Step::Plus,
    Step::Parameters,
    Step::Query,
    Step::MergeSlashes,
    Step::Backslashes,
    Step::ResolveDots,
    Step::Case,
    Step::FinalDots,
    Step::Streams,
    Step::Normalize,
];

fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn each_segment(path: &str, change: impl Fn(&str) -> &str) -> String {
    path.split('/').map(change).collect::<Vec<_>>().join("/")
}

fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    ["/", &kept.join("/")].concat()
}

fn before<'a>(text: &'a str, separator: &str) -> &'a str {
    text.split_once(separator)
        .map_or(text, |(before, _)| before)
}

fn normalized(c: char) -> char {
    match c {
        '\u{2215}' | '\u{2044}' => '/',
        '\u{2024}' => '.',
        '\u{212a}' => 'K',
        _ => (0x21..0x7f)
            .map(char::from)
            .find(|ascii| char::from_u32(*ascii as u32 + 0xfee0) == Some(c))
            .unwrap_or(c),
    }
}

impl Step {
    fn perform(self, path: &str) -> String {
        match self {
            Self::Decode => decoded(path),
            Self::Plus => path.replace('+', " "),
            Self::Parameters => each_segment(path, |segment| before(segment, ";")),
            Self::Query => before(path, "?").to_owned(),
            Self::MergeSlashes => {
                let mut path = path.to_owned();
                while path.contains("//") {
                    path = path.replace("//", "/");
                }
                path
            }
            Self::Backslashes => path.replace('\\', "/"),
            Self::ResolveDots => resolved(path),
            Self::Case => path.to_lowercase(),
            Self::FinalDots => each_segment(path, |segment| {
                let name = segment.trim_end_matches(['.', ' ']);
                if name.is_empty() {
                    segment.trim_end_matches(' ')
                } else {
                    name
                }
            }),
            Self::Streams => each_segment(path, |segment| before(segment, "::$")),
            Self::Normalize => path.chars().map(normalized).collect(),
        }
    }
}

/// Returns the path as a random server reads it.
fn read(path: &str, dice: &mut Dice) -> String {
    let mut read = path.to_owned();
    for _ in 0..dice.roll(20) {
        read = dice.pick(&STEPS).perform(&read);
    }
    read
}

/// Returns true if a server finds `known` at the path that it has read, perhaps by its router.
fn is_found(read: &str, known: &str) -> bool {
    let path = read.trim_end_matches('/');
    path == known || path.strip_prefix(known).is_some_and(|more| more == ".json")
}

/// Returns true if a server finds the script `known`, and passes the rest of the path to it.
fn is_found_with_path_info(read: &str, known: &str) -> bool {
    let more = read.strip_prefix(known);
    is_found(read, known)
        || more.is_some_and(|more| more.starts_with('/') || more.starts_with(".php/"))
}

/// Returns a path of pieces that servers treat differently.
fn hostile(dice: &mut Dice) -> String {
    const PIECES: [&str; 44] = [
        "/..;a",
        "/..%3b",
        "/%252e%252e;",
        "%2f..",
        "%5c..",
        "/..%20;",
        "/",
        "/",
        "/",
        "/me",
        "/me",
        "/oauth",
        "/token",
        "/v1",
        "/admin",
        "..",
        ".",
        "...",
        ";",
        ";a=b",
        "%2e",
        "%252e",
        "%2f",
        "%5c",
        "%25",
        "%32",
        "%65",
        "%3b",
        "%3f",
        "%20",
        "+",
        "%2b",
        "::$DATA",
        "ME",
        "%6d",
        "%256d",
        ".json",
        "e",
        "%",
        "%2500",
        "%ef%bc%8f",
        "\u{ff0e}",
        "\u{2215}..",
        ".php/x",
    ];
    let mut path = "/v1".to_owned();
    for _ in 0..1 + dice.roll(7) {
        let piece: &str = dice.pick(&PIECES);
        path.push_str(piece);
    }
    path
}

// claim: script-8, script-9
#[test]
fn no_server_finds_a_protected_path_or_leaves_the_folder() {
    let policy = policy();
    let mut dice = Dice::new(2);
    let (mut allowed, mut hidden, mut outside) = (0, 0, 0);
    for round in 0..100_000 {
        let path = match round % 4 {
            0 => spelled(EXACT, &mut dice),
            1 => spelled(FORBIDDEN, &mut dice),
            _ => hostile(&mut dice),
        };
        let plain = parsed(&path);
        let read = read(&plain, &mut dice);
        let is_protected = is_found(&read, EXACT) || is_found_with_path_info(&read, FORBIDDEN);
        let is_outside =
            !read.starts_with("/v1") || !matches!(read.as_bytes().get(3), None | Some(b'/'));
        let is_hidden = is_protected && plain != EXACT && plain != FORBIDDEN;
        hidden += usize::from(is_hidden);
        // The parser has left the folder already.
        let was_outside = !plain.starts_with("/v1/");
        outside += usize::from(is_outside && !was_outside);
        if decision(&policy, &path, "PUT").is_none() {
            allowed += 1;
            assert!(!is_protected, "{path} may be read as {read}");
            assert!(!is_outside, "{path} may be read as {read}");
        }
    }
    // Controls: there are paths that a comparison of the plain paths would allow, and others that may be allowed.
    assert!(hidden > 2_000, "{hidden}");
    assert!(outside > 300, "{outside}");
    assert!(allowed > 2_000, "{allowed}");
}
