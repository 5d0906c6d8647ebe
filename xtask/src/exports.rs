//! Removes an export from a wasm module.

use anyhow::Result;
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{ExportSection, Module};
use wasmparser::{ExportSectionReader, Parser};

/// Returns `wasm` without the export `name`, if it has one.
pub(crate) fn without(wasm: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut kept = Module::new();
    Without(name).parse_core_module(&mut kept, Parser::new(0), wasm)?;
    Ok(kept.finish())
}

struct Without<'a>(&'a str);

impl Reencode for Without<'_> {
    type Error = Infallible;

    fn parse_export_section(
        &mut self,
        kept: &mut ExportSection,
        exports: ExportSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for export in exports {
            let export = export?;
            if export.name != self.0 {
                self.parse_export(kept, export)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_export_is_removed() {
        // A function with two exports, `e` and `f`.
        let wasm = [
            &b"\0asm\x01\0\0\0"[..],
            b"\x01\x04\x01\x60\x00\x00",
            b"\x03\x02\x01\x00",
            b"\x07\x09\x02\x01e\x00\x00\x01f\x00\x00",
            b"\x0a\x04\x01\x02\x00\x0b",
        ]
        .concat();
        let kept = without(&wasm, "e").unwrap();
        let exports = b"\x07\x05\x01\x01f\x00\x00";
        assert!(kept.windows(exports.len()).any(|part| part == exports));
        assert_eq!(without(&kept, "e").unwrap(), kept);
    }
}
