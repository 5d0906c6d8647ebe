//! Skips steps whose inputs have not changed and whose outputs are still those of the step. Contents are compared, not
//! modification times, so that switching branches back and forth repeats no step. Paths are compared relative to the
//! repository's root, so that no step is repeated in a clone to which `target` was copied.

use crate::paths;
use anyhow::{Context, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// A hash of a step's inputs, and the file that keeps the hashes of the inputs and outputs of the step's last run.
pub(crate) struct Stamp {
    file: PathBuf,
    inputs: u64,
}

impl Stamp {
    /// Returns the stamp of the step `name`. `inputs` are files or folders, which may be missing. `options` are all
    /// other values that affect the step's result.
    pub(crate) fn of(name: &str, inputs: &[PathBuf], options: &[&str]) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        options.hash(&mut hasher);
        for input in inputs {
            hash_path(input, &mut hasher)?;
        }
        Ok(Self {
            file: paths::target("xtask").join(name),
            inputs: hasher.finish(),
        })
    }

    /// Returns true if the step's last run had the same inputs, and its `outputs` have not changed since. An
    /// interrupted run of the step may have changed them.
    pub(crate) fn is_fresh(&self, outputs: &[PathBuf]) -> bool {
        outputs.iter().all(|output| output.exists())
            && self.text(outputs).is_ok_and(|text| {
                fs::read_to_string(&self.file).is_ok_and(|written| written == text)
            })
    }

    /// Records that the step has completed with these outputs.
    pub(crate) fn write(&self, outputs: &[PathBuf]) -> Result<()> {
        fs::create_dir_all(paths::target("xtask"))?;
        fs::write(&self.file, self.text(outputs)?)
            .with_context(|| format!("{} could not be written", self.file.display()))
    }

    fn text(&self, outputs: &[PathBuf]) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        for output in outputs {
            hash_path(output, &mut hasher)?;
        }
        Ok(format!("{:016x} {:016x}", self.inputs, hasher.finish()))
    }
}

fn hash_path(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    path.strip_prefix(paths::root())
        .unwrap_or(path)
        .hash(hasher);
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        entries.sort();
        entries
            .iter()
            .try_for_each(|entry| hash_path(entry, hasher))
    } else {
        fs::read(path).ok().hash(hasher);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Stamp;
    use crate::paths;
    use std::fs;

    #[test]
    fn step_repeats_after_input_or_output_change() {
        let folder = paths::target("xtask/test-of-stamps");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(folder.join("src")).unwrap();
        let (input, output) = (folder.join("src/a"), folder.join("b"));
        let outputs = [output.clone()];
        let stamp = |options: &[&str]| Stamp::of("test", &[folder.join("src")], options).unwrap();
        let fresh = |options: &[&str]| stamp(options).is_fresh(&outputs);
        fs::write(&input, "1").unwrap();
        fs::write(&output, "of 1").unwrap();
        fs::remove_file(stamp(&[]).file).ok();

        assert!(!fresh(&[]), "never run");
        stamp(&[]).write(&outputs).unwrap();
        assert!(fresh(&[]));
        assert!(!fresh(&["-Oz"]), "another option");
        fs::write(&input, "2").unwrap();
        assert!(!fresh(&[]), "another content");
        fs::write(&input, "1").unwrap();
        fs::write(folder.join("src/new"), "").unwrap();
        assert!(!fresh(&[]), "another file");
        fs::remove_file(folder.join("src/new")).unwrap();
        assert!(fresh(&[]), "as it was");
        fs::write(&output, "of an interrupted run").unwrap();
        assert!(!fresh(&[]), "another output");
        fs::remove_file(&output).unwrap();
        assert!(!fresh(&[]), "no output");
    }
}
