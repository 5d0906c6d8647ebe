//! Checks `WWW-Authenticate` headers. The demand that the vault reads must be in the header by the header's grammar.
//! The vault must accept the login options that the page gets for this demand.

use rules::codec::json::Value;
use rules::oauth::www_authenticate::{Demand, MAX_LEN, demand as demanded};

/// Takes the status and the header, separated by a space.
pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let (status, header) = text.split_once(' ').unwrap_or(("401", text));
    let status = status.parse().unwrap_or(401);
    let Some(demand) = demanded(status, header) else {
        return;
    };
    assert!(header.len() <= MAX_LEN);
    let lower = header.to_ascii_lowercase();
    assert!(
        lower.contains("bearer") || lower.contains("dpop"),
        "{header}"
    );
    let said = |text: &str| header.contains(text) || header.contains('\\');
    match &demand {
        Demand::StepUp {
            acr_values,
            max_age,
        } => {
            assert_eq!(status, 401);
            assert!(said("insufficient_user_authentication"), "{header}");
            assert!(acr_values.iter().all(|text| said(text)), "{header}");
            assert!(
                max_age.is_none_or(|age| header.contains(&age.to_string())),
                "{header}"
            );
        }
        Demand::Scope(scope) => {
            assert_eq!(status, 403);
            assert!(said("insufficient_scope") && said(scope), "{header}");
        }
    }
    are_options(&demand.login());
    // A header with an addition that violates the grammar is rejected.
    for more in ["\0", ", =", ", \"", ", é"] {
        assert_eq!(demanded(status, &[header, more].concat()), None, "{more:?}");
    }
    let framed = format!(" , ,{header}, , ");
    if framed.len() <= MAX_LEN {
        assert_eq!(demanded(status, &framed).as_ref(), Some(&demand));
    }
    assert_eq!(demanded(200, header), None);
}

fn are_options(json: &str) {
    let options = Value::parse(json).unwrap();
    let options = options.as_object().unwrap();
    assert!(options.iter().count() > 0, "{json}");
    for (name, value) in options.iter() {
        assert!(
            ["acrValues", "maxAge", "prompt", "scope"].contains(&name),
            "{json}"
        );
        match value.as_str() {
            Some(text) => assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{json}"),
            None => assert!(value.as_u64().is_some(), "{json}"),
        }
    }
}
