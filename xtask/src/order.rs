//! Places similar functions of a wasm module side by side, because compressors encode the short distance to a similar
//! function in fewer bits. The order of functions has no meaning for an engine.
//!
//! The similarity of two functions is the share of their byte runs that both functions contain. The most similar pairs
//! are joined first. A function that shares no run with another function is a chain of its own. The chain with the most
//! code comes first.

use anyhow::Result;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{
    CodeSectionReader, FunctionBody, FunctionSectionReader, Parser, Payload, TypeRef,
};

/// Returns `wasm` with its functions in chains of similar functions; `run` is the number of bytes in a run.
pub(crate) fn by_similarity(wasm: &[u8], run: usize) -> Result<Vec<u8>> {
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    let order = chains(&bodies, run);
    let mut numbers = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        numbers[old] = imported + u32::try_from(new)?;
    }
    let mut reordered = Module::new();
    let mut reorder = Reorder {
        order,
        imported,
        numbers,
    };
    reorder.parse_core_module(&mut reordered, Parser::new(0), wasm)?;
    Ok(reordered.finish())
}

struct Reorder {
    /// For each position in the new order, the former position of the function there.
    order: Vec<usize>,
    imported: u32,
    /// For each former position, the new number of the function. Only numbers count imported functions, which come
    /// first.
    numbers: Vec<u32>,
}

impl Reencode for Reorder {
    type Error = Infallible;

    fn function_index(&mut self, number: u32) -> Result<u32, Error<Infallible>> {
        let own = number.checked_sub(self.imported);
        Ok(own.map_or(number, |own| self.numbers[own as usize]))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let types = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for &old in &self.order {
            functions.function(types[old]);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let bodies: Vec<FunctionBody<'_>> = section.into_iter().collect::<Result<_, _>>()?;
        for old in self.order.clone() {
            self.parse_function_body(code, bodies[old].clone())?;
        }
        Ok(())
    }
}

/// Returns the number of different runs in each body, and for each body the numbers of runs that it shares with the
/// bodies before it. Lists of the bodies with each run are ten times as fast as a comparison of all pairs.
fn runs(bodies: &[&[u8]], run: usize) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut own = vec![0; bodies.len()];
    let mut shared: Vec<Vec<u32>> = (0..bodies.len()).map(|i| vec![0; i]).collect();
    let mut with: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (i, body) in bodies.iter().enumerate() {
        for run in body.windows(run) {
            let before = with.entry(run).or_default();
            if before.last() == Some(&i) {
                continue;
            }
            for &j in &*before {
                shared[i][j] += 1;
            }
            before.push(i);
            own[i] += 1;
        }
    }
    (own, shared)
}

/// Returns the positions of `bodies` in the new order, in which similar bodies are side by side.
fn chains(bodies: &[&[u8]], run: usize) -> Vec<usize> {
    let (runs, shared) = runs(bodies, run);
    let mut pairs = Vec::new();
    for i in 0..bodies.len() {
        for j in 0..i {
            let shared = shared[i][j];
            if shared > 0 {
                let all = runs[i] + runs[j] - shared;
                pairs.push((f64::from(shared) / f64::from(all + 1), i, j));
            }
        }
    }
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut chains: Vec<Vec<usize>> = (0..bodies.len()).map(|i| vec![i]).collect();
    let mut chain_of: Vec<usize> = (0..bodies.len()).collect();
    for (_, i, j) in pairs {
        let [left, right] = [i, j].map(|end| chain_of[end]);
        let is_end = |chain: usize, i| {
            let chain = &chains[chain];
            chain.first() == Some(&i) || chain.last() == Some(&i)
        };
        if left == right || !is_end(left, i) || !is_end(right, j) {
            continue;
        }
        let mut joined = std::mem::take(&mut chains[left]);
        let mut rest = std::mem::take(&mut chains[right]);
        if joined.last() != Some(&i) {
            joined.reverse();
        }
        if rest.first() != Some(&j) {
            rest.reverse();
        }
        joined.extend(rest);
        for &i in &joined {
            chain_of[i] = left;
        }
        chains[left] = joined;
    }
    chains.sort_by_key(|chain| Reverse(chain.iter().map(|&i| bodies[i].len()).sum::<usize>()));
    chains.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_functions_are_put_side_by_side() {
        let bodies: [&[u8]; 5] = [b"abcdefgh", b"01234567", b"..", b"abcdefg", b"0123456"];
        assert_eq!(chains(&bodies, 4), [3, 0, 4, 1, 2]);
    }

    #[test]
    fn every_function_keeps_its_type_and_its_callers() {
        // The module has the import `(import "m" "f" (func))` and three functions, each with its own type. The first
        // function is exported, and the last function calls it.
        let wasm = [
            &b"\0asm\x01\0\0\0"[..],
            b"\x01\x0c\x03\x60\x00\x00\x60\x00\x01\x7f\x60\x01\x7f\x00",
            b"\x02\x07\x01\x01m\x01f\x00\x00",
            b"\x03\x04\x03\x01\x02\x00",
            b"\x07\x05\x01\x01e\x00\x01",
            b"\x0a\x13\x03\x04\x00\x41\x07\x0b\x02\x00\x0b\x09\x00\x10\x01\x1a\x10\x01\x1a\x01\x0b",
        ]
        .concat();
        let reordered = by_similarity(&wasm, 4).unwrap();
        let mut types = Vec::new();
        let mut bodies = Vec::new();
        let mut exported = None;
        for payload in Parser::new(0).parse_all(&reordered) {
            match payload.unwrap() {
                Payload::FunctionSection(section) => {
                    types = section.into_iter().map(Result::unwrap).collect();
                }
                Payload::ExportSection(section) => {
                    exported = section
                        .into_iter()
                        .map(|export| export.unwrap().index)
                        .next();
                }
                Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes().to_vec()),
                _ => {}
            }
        }
        // The chain with the most code comes first.
        assert_eq!(types, [0, 1, 2]);
        assert_eq!(exported, Some(2));
        assert_eq!(bodies[0], b"\x00\x10\x02\x1a\x10\x02\x1a\x01\x0b");
        assert_eq!(bodies[1], b"\x00\x41\x07\x0b");
    }
}
