//! Skips steps whose inputs have not changed. Contents are compared, not modification times, so that switching branches
//! back and forth repeats no step. Paths are compared relative to the repository's root, so that no step is repeated in a
//! clone to which `target` was copied.

use crate::paths;
use anyhow::{Context, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The name of folders that contain outputs. Such a folder may be inside a folder of inputs, and its files do not count
/// as inputs.
const OUTPUT: &str = "dist";

/// A hash of a step's inputs, and the file that keeps the hash of the step's last run.
pub(crate) struct Stamp {
    file: PathBuf,
    digest: String,
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
            digest: format!("{:016x}", hasher.finish()),
        })
    }

    /// Returns true if the step's last run had the same inputs and its `outputs` still exist.
    pub(crate) fn is_fresh(&self, outputs: &[PathBuf]) -> bool {
        outputs.iter().all(|output| output.exists())
            && fs::read_to_string(&self.file).is_ok_and(|digest| digest == self.digest)
    }

    /// Records that the step has completed.
    pub(crate) fn write(&self) -> Result<()> {
        fs::create_dir_all(paths::target("xtask"))?;
        fs::write(&self.file, &self.digest)
            .with_context(|| format!("{} could not be written", self.file.display()))
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
        entries.retain(|entry| entry.file_name().is_none_or(|name| name != OUTPUT));
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
    fn step_repeats_after_input_change_or_lost_output() {
        let folder = paths::target("xtask/test-of-stamps");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(folder.join("src/dist")).unwrap();
        let (input, output) = (folder.join("src/a"), folder.join("b"));
        let made_here = folder.join("src/dist/c");
        let stamp = |options: &[&str]| Stamp::of("test", &[folder.join("src")], options).unwrap();
        let fresh = |options: &[&str]| stamp(options).is_fresh(std::slice::from_ref(&output));
        fs::write(&input, "1").unwrap();
        fs::write(&output, "").unwrap();
        fs::remove_file(stamp(&[]).file).ok();

        assert!(!fresh(&[]), "never run");
        stamp(&[]).write().unwrap();
        assert!(fresh(&[]));
        fs::write(&made_here, "").unwrap();
        assert!(fresh(&[]), "an output among the inputs");
        assert!(!fresh(&["-Oz"]), "another option");
        fs::write(&input, "2").unwrap();
        assert!(!fresh(&[]), "another content");
        fs::write(&input, "1").unwrap();
        fs::write(folder.join("src/new"), "").unwrap();
        assert!(!fresh(&[]), "another file");
        fs::remove_file(folder.join("src/new")).unwrap();
        assert!(fresh(&[]), "as it was");
        fs::remove_file(&output).unwrap();
        assert!(!fresh(&[]), "no output");
    }
}
