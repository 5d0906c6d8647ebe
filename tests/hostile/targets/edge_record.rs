//! Checks sealed session records with forged content. A record must be written as it was read, and the end of a session
//! must apply to each generation.

use edge::session::Session;
use edge::session::record::{GenerationStatus, Record};

fn presented(generation: u64) -> Session {
    let text = format!("1\ns\n{generation}\n1\n1\n1\n1\nat\n\nid\n\nopenid\n\n\n\n\n");
    Session::from_text(&text).unwrap()
}

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let Some(record) = Record::from_text(text) else {
        return;
    };
    let written = record.to_text();
    let twin = Record::from_text(written.expose()).unwrap();
    assert_eq!(twin.to_text().expose(), written.expose());
    for (generation, is_copy) in [0, 1, record.generation, u64::MAX]
        .into_iter()
        .flat_map(|generation| [(generation, false), (generation, true)])
    {
        let session = presented(generation);
        match record.status(&session, is_copy) {
            GenerationStatus::Ended(reason) => assert_eq!(Some(reason), record.ended),
            status => {
                assert_eq!(record.ended, None);
                match status {
                    GenerationStatus::Ahead => assert!(generation > record.generation),
                    GenerationStatus::Succeeded(_) | GenerationStatus::Replayed => {
                        assert!(generation < record.generation);
                    }
                    _ => assert!(generation <= record.generation),
                }
            }
        }
    }
}
