//! The ID of a request, which connects lines of the log, error responses and requests to upstreams.

use rules::prelude::*;

use rules::base::strings;

/// The longest ID that is taken from a header.
const LONGEST: usize = 128;

/// Returns the ID that a proxy or a client has given to a request: `X-Request-Id`, or else the trace ID in `traceparent`
/// (W3C Trace Context 3.2). Returns `None` if neither is well-formed. An ID is written to logs and pages, so it has only
/// letters, digits and `-_.~+/=:@`, and begins with a letter or digit, because a spreadsheet takes others for a formula.
pub(super) fn given(request_id: Option<&str>, traceparent: Option<&str>) -> Option<String> {
    let of_header = request_id.filter(|id| {
        let first = id.bytes().next();
        let is_begun = first.is_some_and(|byte| byte.is_ascii_alphanumeric());
        is_begun && id.len() <= LONGEST && id.bytes().all(is_plain)
    });
    of_header
        .or_else(|| trace_id(traceparent?))
        .map(str::to_owned)
}

/// The length of a random ID in bytes, which is that of a trace ID.
pub(super) const RANDOM: usize = 16;

/// Returns a random ID, which can also be a trace ID.
pub(super) fn random(bytes: [u8; RANDOM]) -> String {
    let digits = |byte: u8| [byte >> 4, byte & 15];
    let digit = |value| char::from_digit(u32::from(value), 16);
    bytes
        .into_iter()
        .flat_map(digits)
        .filter_map(digit)
        .collect()
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b':' | b'@'
        )
}

/// Returns the trace ID of a `traceparent`: version, trace ID, parent ID and flags in hexadecimal digits. Later versions may
/// append parts.
fn trace_id(header: &str) -> Option<&str> {
    let parts: Vec<&str> = strings::split(header, b'-').collect();
    let [version, trace, parent, flags, rest @ ..] = &parts[..] else {
        return None;
    };
    let is_sound = is_hex(version, 2)
        && *version != "ff"
        && (*version != "00" || rest.is_empty())
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2)
        && is_hex(trace, 32)
        && !is_zero(trace);
    is_sound.then_some(*trace)
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0')
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn request_id_is_taken_from_a_proxy() {
        for id in ["a", "7f3e-_.~+/=:@Z", &"x".repeat(128)] {
            assert_eq!(given(Some(id), None).as_deref(), Some(id));
        }
    }

    #[test]
    fn malformed_request_id_is_not_taken() {
        for id in [
            "",
            "a b",
            "a\"b",
            "<b>",
            "a,b",
            "é",
            "a\u{1b}[0m",
            "=1+1",
            "@SUM(a)",
            "-a",
            &"x".repeat(129),
        ] {
            assert_eq!(given(Some(id), None), None, "{id}");
        }
    }

    #[test]
    fn request_id_comes_before_the_trace() {
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let both = given(Some("id"), Some(&traceparent));
        assert_eq!(both.as_deref(), Some("id"));
        let other = given(Some("not plain"), Some(&traceparent));
        assert_eq!(other.as_deref(), Some(TRACE));
    }

    #[test]
    fn trace_id_is_read_as_the_specification_says() {
        let later = format!("01-{TRACE}-00f067aa0ba902b7-01-more");
        assert_eq!(given(None, Some(&later)).as_deref(), Some(TRACE));
        for malformed in [
            "",
            "00",
            TRACE,
            &format!("00-{TRACE}-00f067aa0ba902b7"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{}-00f067aa0ba902b7-01", &TRACE[1..]),
            &format!("00-{TRACE}-0000000000000000-01"),
        ] {
            assert_eq!(given(None, Some(malformed)), None, "{malformed}");
        }
    }
}
