//! The record of how long tests took: each kind and each test file of every run, in `target/test-times.tsv`.

use crate::paths::target;
use anyhow::{Context, Result, bail};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

fn record() -> PathBuf {
    target("test-times.tsv")
}

/// Adds a line to the record: the name of a kind, or the path of a test file. A run is not disturbed by a record that
/// cannot be written.
pub(crate) fn note(name: &str, took: Duration) {
    let line = format!("{name}\t{:.1}\n", took.as_secs_f64());
    let file = OpenOptions::new().append(true).create(true).open(record());
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .ok();
}

/// Prints the last times of all kinds and of the slowest files, and how they compare with the runs before.
pub(crate) fn print() -> Result<()> {
    let text = fs::read_to_string(record()).unwrap_or_default();
    if text.is_empty() {
        bail!("no tests have run here yet: `cargo xtask test` records their times");
    }
    print!("{}", table(&text)?);
    Ok(())
}

/// The number of files in the table.
const FILES: usize = 20;

fn table(text: &str) -> Result<String> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in text.lines() {
        let (name, seconds) = line
            .split_once('\t')
            .with_context(|| format!("not a line of the record: {line}"))?;
        times.entry(name).or_default().push(seconds.parse()?);
    }
    let mut rows: Vec<(f64, String)> = times
        .iter()
        .filter_map(|(name, times)| {
            let (last, before) = times.split_last()?;
            let trend = median(before).map_or_else(
                || "    first run".to_owned(),
                |usual| {
                    format!(
                        "{:>+7.0} % of {:>2}",
                        100.0 * (last / usual - 1.0),
                        before.len()
                    )
                },
            );
            Some((*last, format!("  {last:>7.1} s  {trend}  {name}\n")))
        })
        .collect();
    rows.sort_by_key(|(last, _)| Reverse((last * 10.0) as u64));
    let (files, kinds): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| row.contains('/'));
    let sum: f64 = kinds.iter().map(|(last, _)| last).sum();
    let lines = |rows: Vec<(f64, String)>, most| -> String {
        rows.into_iter().take(most).map(|(_, row)| row).collect()
    };
    Ok(format!(
        "kinds, {sum:.0} s together: the last time, and its difference from the median of earlier runs\n{}\
         the slowest files; several run at the same time\n{}",
        lines(kinds, usize::MAX),
        lines(files, FILES)
    ))
}

fn median(times: &[f64]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn last_time_is_compared_with_the_median() {
        let text = "lint\t10.0\nlint\t20.0\nlint\t12.0\nlint\t15.0\n";
        let table = table(text).unwrap();
        assert!(
            table.contains("     15.0 s      +25 % of  3  lint"),
            "{table}"
        );
        assert!(table.starts_with("kinds, 15 s together"), "{table}");
    }

    #[test]
    fn slowest_file_comes_first() {
        let text = "tests/page/a.test.mjs\t1.0\ntests/page/b.test.mjs\t2.0\npage\t3.0\n";
        let table = table(text).unwrap();
        let files = table.split_once("the slowest files").unwrap().1;
        assert!(files.find("/b.") < files.find("/a."), "{table}");
        assert!(!files.contains("  page\n"), "{table}");
    }

    #[test]
    fn damaged_record_is_an_error() {
        assert!(table("lint\n").is_err());
        assert!(table("lint\tlong\n").is_err());
    }
}
