//! Keeps the texts of messages out of the compiled core (see `src/rules/base/messages.rs`). The core contains a code for each
//! message, and the messages are written to `pkg/glue/messages.js`.

use crate::paths::{at, files_below, root};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use wasmparser::{Parser, Payload};

/// The variable that passes the messages' hashes to the core's build.
pub(crate) const VARIABLE: &str = "STRONGROOM_MESSAGES";

/// The number of different printable characters that codes use. A code is a control character that has no short escape
/// in JSON, followed by a printable character.
const PRINTABLE: usize = 94;
const MOST: usize = 6 * PRINTABLE;

/// The name of the section in which a compiled module has its messages.
pub(crate) const SECTION: &str = "strongroom.messages";

/// Returns the messages in a compiled module.
pub(crate) fn of(module: &[u8]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload?
            && section.name() == SECTION
        {
            let messages = std::str::from_utf8(section.data())?;
            texts.extend(messages.split_terminator('\0').map(str::to_owned));
        }
    }
    Ok(texts)
}

/// Returns the messages of the sources that pages may get, each once, in the order of the files. The token handler sends its
/// messages as they are.
pub(crate) fn all() -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for file in files_below(root(), "src")? {
        if file.starts_with("src/edge/") {
            continue;
        }
        for text in literals(&fs::read_to_string(at(&file))?).with_context(|| file.clone())? {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    let mut hashes: Vec<u32> = texts.iter().map(|text| hash(text)).collect();
    hashes.sort_unstable();
    if let Some(twice) = hashes.windows(2).find(|pair| pair[0] == pair[1]) {
        let same = texts.iter().filter(|text| hash(text) == twice[0]);
        bail!(
            "these messages have the same hash; change the wording of one: {:?}",
            same.collect::<Vec<_>>()
        );
    }
    if texts.len() > MOST {
        bail!("{} messages are more than there are codes", texts.len());
    }
    Ok(texts)
}

/// Returns the literals of all `msg!("…")`.
fn literals(source: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for after in source.split("msg!(").skip(1) {
        if let Some(literal) = after.trim_start().strip_prefix('"') {
            found.push(unescaped(literal)?);
        }
    }
    Ok(found)
}

/// Returns the value of a literal that begins after the first quote.
fn unescaped(literal: &str) -> Result<String> {
    let mut text = String::new();
    let mut rest = literal.chars();
    loop {
        match rest.next().context("a literal does not end")? {
            '"' => return Ok(text),
            '\\' => match rest.next() {
                Some(c @ ('"' | '\\')) => text.push(c),
                Some('n') => text.push('\n'),
                Some('\n') => rest = rest.as_str().trim_start().chars(),
                other => bail!("unknown escape in a literal: {other:?}"),
            },
            c => text.push(c),
        }
    }
}

/// Returns the hashes of these messages, for the core's build.
pub(crate) fn hashes(texts: &[String]) -> String {
    texts
        .iter()
        .map(|text| format!("{:08x}", hash(text)))
        .collect()
}

/// Returns the FNV-1a hash of a message. `src/rules/base/messages.rs` computes the same hash at compile time.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Returns the code of the `i`th message.
fn code(i: usize) -> String {
    let [lead, letter] = [1 + i / PRINTABLE, usize::from(b'!') + i % PRINTABLE];
    [lead, letter]
        .map(|byte| char::from(byte as u8))
        .iter()
        .collect()
}

/// Writes the file for `pkg/src/page/errors/error-messages.ts`: the messages by their codes, and the advice by error
/// code. Only the messages in `sections` are written. The position of a message in `all` determines its code.
pub(crate) fn write(all: &[String], sections: &[String]) -> Result<()> {
    let mut advice = BTreeMap::new();
    let mut by_code = BTreeMap::new();
    for text in sections {
        if let Some((error, sentence)) = text.split_once('\n') {
            advice.insert(error.to_owned(), sentence);
            continue;
        }
        let i = all.iter().position(|known| known == text);
        let i = i.with_context(|| format!("{text:?} is in a module, but not in the sources"))?;
        by_code.insert(code(i), text.as_str());
    }
    let script = format!(
        "export const texts = {}\nexport const advice = {}\n",
        object(&by_code),
        object(&advice)
    );
    fs::write(at("pkg/glue/messages.js"), script)?;
    fs::write(
        at("pkg/glue/messages.d.ts"),
        "export const texts: Record<string, string>\nexport const advice: Record<string, string>\n",
    )?;
    Ok(())
}

/// Returns a JavaScript object with one member per line. The escapes that Rust writes in these messages have the same
/// meaning in JavaScript.
fn object(members: &BTreeMap<String, &str>) -> String {
    let lines: String = members
        .iter()
        .map(|(name, value)| format!("  {name:?}: {value:?},\n"))
        .collect();
    format!("{{\n{lines}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_the_module() {
        let module =
            b"\0asm\x01\0\0\0\x00\x06\x04nameX\x00\x27\x13strongroom.messagesis past\0is missing\0";
        assert_eq!(of(module).unwrap(), ["is past", "is missing"]);
        assert!(of(&module[..40]).is_err());
    }

    #[test]
    fn literals_are_found_with_their_values() {
        let source = r#"a(msg!("one")); b(msg!(
            "two \"quoted\" \
             lines"
        )) msg!(NAMED)"#;
        assert_eq!(literals(source).unwrap(), ["one", "two \"quoted\" lines"]);
        assert!(literals(r#"msg!("\u{e9}")"#).is_err());
        assert!(literals(r#"msg!("open"#).is_err());
    }

    #[test]
    fn message_codes_are_unique() {
        let codes: std::collections::BTreeSet<_> = (0..MOST).map(code).collect();
        assert_eq!(codes.len(), MOST);
        assert_eq!(
            [code(0), code(93), code(94)],
            ["\u{1}!", "\u{1}~", "\u{2}!"]
        );
        assert!(
            codes.iter().all(|code| code.as_bytes()[0] < 7),
            "7 is for the page's own messages"
        );
    }
}
