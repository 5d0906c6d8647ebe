//! Members of token responses that are not what RFC 6749 5.1 shows, each as a name and a JSON text.

pub type Flaw = (&'static str, &'static str);

/// Optional members, and one that no specification knows.
const MEMBERS: &[&str] = &[
    "expires_in",
    "refresh_token",
    "id_token",
    "scope",
    "error",
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x",
];

/// JSON texts of each type. The last one is half of a surrogate pair.
const VALUES: &[&str] = &[
    "null",
    r#""""#,
    "true",
    "false",
    "0",
    "-1",
    "299.5",
    "[]",
    "{}",
    r#""\u0007""#,
    r#""\ud800""#,
];

/// Returns true if a refresh token with this value counts as absent.
#[must_use]
pub fn is_absent(value: &str) -> bool {
    ["null", r#""""#, "false", "[]", "{}"].contains(&value)
}

/// Each optional member with each value, a missing type of tokens, and a repeated member.
pub fn of_optional_members() -> impl Iterator<Item = Flaw> {
    let of_members = MEMBERS.iter().flat_map(|name| {
        let values = VALUES.iter();
        // A string that is no error code is still an error.
        let values = values.filter(move |value| *name != "error" || **value != r#""\u0007""#);
        values.map(move |value| (*name, *value))
    });
    let others = [
        ("token_type", "null"),
        ("token_type", r#""""#),
        ("x", r#"1,"x":2"#),
    ];
    of_members.chain(others)
}
