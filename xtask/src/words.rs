//! The texts that the core was compiled without (see `src/words.rs`) become `pkg/glue/words.js`.

use crate::paths::at;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;

const SECTION: &[u8] = b"strongroom.words";

/// What stands before the first section: magic number and version.
const PREAMBLE: usize = 8;

/// Splits a module into itself without the section of texts, and the texts.
pub(crate) fn split(module: &[u8]) -> Result<(Vec<u8>, Vec<String>)> {
    let cut_short = || "the module is cut short";
    let (preamble, mut rest) = module.split_at_checked(PREAMBLE).with_context(cut_short)?;
    let mut without = preamble.to_vec();
    let mut texts = Vec::new();
    while let Some((&id, after_id)) = rest.split_first() {
        let (len, content) = leb128(after_id).with_context(cut_short)?;
        let (content, next) = content.split_at_checked(len).with_context(cut_short)?;
        let words = leb128(content).and_then(|(_, named)| named.strip_prefix(SECTION));
        match words {
            Some(words) if id == 0 => {
                let words = std::str::from_utf8(words)?;
                texts.extend(words.split_terminator('\0').map(str::to_owned));
            }
            _ => without.extend(&rest[..rest.len() - next.len()]),
        }
        rest = next;
    }
    Ok((without, texts))
}

/// An unsigned number and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let number = bytes[..=end]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 7 | usize::from(byte & 0x7F));
    Some((number, &bytes[end + 1..]))
}

/// Writes the texts for `pkg/src/words.ts`: by character, and advice by code.
pub(crate) fn write(texts: &[String]) -> Result<()> {
    let mut advice = BTreeMap::new();
    let mut by_character = BTreeMap::new();
    for text in texts {
        if let Some((code, sentence)) = text.split_once('\n') {
            advice.insert(code.to_owned(), sentence);
            continue;
        }
        let other = by_character.insert(character(text).to_string(), text.as_str());
        if let Some(other) = other.filter(|other| other != text) {
            bail!(
                "one character would stand for {text:?} and for {other:?}: word one of them otherwise"
            );
        }
    }
    let script = format!(
        "export const texts = {}\nexport const advice = {}\n",
        object(&by_character),
        object(&advice)
    );
    fs::write(at("pkg/glue/words.js"), script)?;
    fs::write(
        at("pkg/glue/words.d.ts"),
        "export const texts: Record<string, string>\nexport const advice: Record<string, string>\n",
    )?;
    Ok(())
}

/// The character for a text; `src/words.rs` computes the same when it compiles.
fn character(text: &str) -> char {
    let hash = text.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    char::from_u32(0xF_0000 + ((hash ^ (hash >> 16)) & 0xFFFF)).expect("a plane of characters")
}

/// A JavaScript object, one member a line. What Rust escapes in these texts, JavaScript reads the same.
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

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut section = vec![id, content.len() as u8];
        section.extend(content);
        section
    }

    #[test]
    fn texts_are_taken_out_of_the_module_and_the_rest_is_left() {
        let (magic, other) = (b"\0asm\x01\0\0\0".to_vec(), section(0, b"\x04nameX"));
        let words = section(0, b"\x10strongroom.wordsis past\0is missing\0");
        let code = section(10, &[0]);
        let module = [magic.clone(), other.clone(), words, code.clone()].concat();
        let (without, texts) = split(&module).unwrap();
        assert_eq!(without, [magic, other, code].concat());
        assert_eq!(texts, ["is past", "is missing"]);
    }

    #[test]
    fn a_module_that_is_cut_short_is_refused() {
        assert!(split(b"\0asm\x01\0\0\0\x00\x10\x10strong").is_err());
    }
}
