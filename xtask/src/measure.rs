//! `cargo xtask measure`: counts the lines of code and tests and the words of documents, finds English that is never right, and samples sentences.

mod code;
mod english;
pub(crate) mod floors;
pub(crate) mod lint;
pub(crate) mod scan;

use crate::paths::{at, files_below, root};
use crate::process;
use anyhow::Result;
use code::Source;
use scan::{Kind, Language, Piece};
use std::fs;

/// The arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print this many sentences, chosen at random from comments, messages and documents.
    #[arg(long, default_value_t = 0)]
    sample: usize,
    /// Seed of the sample.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the places in the sources that each number counts.
    #[arg(long)]
    places: bool,
}

/// The folders whose files must not depend on each other in a cycle.
const WITHOUT_CYCLES: [&str; 3] = ["src/vault", "src/browser", "src/edge"];

/// A row of the table: the measure's name, its value, and the places in the sources that the value counts.
type Row = (String, String, Vec<String>);

/// A source file with its comments and literals.
struct Text {
    path: String,
    pieces: Vec<Piece>,
}

/// Prints the table and the sample.
pub(crate) fn run(options: &Options) -> Result<()> {
    let files = files_below(root(), "")?;
    let texts = read_texts(&files)?;
    let everything = code::read_all(root(), &files)?;
    let is_core = |source: &&Source| source.path.starts_with("src/");
    let sources: Vec<_> = everything.iter().filter(is_core).collect();

    let mut rows = vec![
        code_lines(&everything, "src/"),
        script_lines(&files)?,
        code_lines(&everything, "xtask/"),
        test_lines(&sources, &files)?,
        forbidden(&texts),
    ];
    for folder in WITHOUT_CYCLES {
        rows.extend(cycles(&sources, folder));
    }
    for (name, value, places) in rows {
        println!("{name:<62} {value}");
        if options.places {
            for place in places {
                println!("    {place}");
            }
        }
    }
    process::node(&["tests/supply/words.mjs"]).run()?;
    if options.sample > 0 {
        println!("\n{} sentences, seed {}:", options.sample, options.seed);
        for (i, line) in sample(&texts, &files, options)?.iter().enumerate() {
            println!("{:>3}. {line}", i + 1);
        }
    }
    Ok(())
}

fn first_line(piece: &Piece) -> &str {
    piece.text.lines().next().unwrap_or_default()
}

fn read_texts(files: &[String]) -> Result<Vec<Text>> {
    let mut texts = Vec::new();
    for path in files {
        let language = match path.rsplit('.').next() {
            Some("rs") => Language::Rust,
            Some("ts" | "mjs" | "js") => Language::Script,
            _ => continue,
        };
        // Skips the file that contains the list of forbidden phrases.
        if path == "xtask/src/measure/english.rs" {
            continue;
        }
        let source = fs::read_to_string(at(path))?;
        texts.push(Text {
            path: path.clone(),
            pieces: scan::pieces(language, &source),
        });
    }
    Ok(texts)
}

/// Returns the doc comments of the core and of the package, with their paths.
fn doc_texts(texts: &[Text]) -> impl Iterator<Item = (&str, &Piece)> {
    texts
        .iter()
        .filter(|text| text.path.starts_with("src/") || text.path.starts_with("pkg/src/"))
        .flat_map(|text| text.pieces.iter().map(|piece| (text.path.as_str(), piece)))
        .filter(|(_, piece)| piece.kind == Kind::Doc)
}

fn doc_openings(texts: &[Text]) -> Row {
    let total = doc_texts(texts).count();
    let opened: Vec<_> = doc_texts(texts)
        .filter(|(_, piece)| english::opens_with_question(&piece.text))
        .collect();
    let share = 100.0 * opened.len() as f64 / total.max(1) as f64;
    let places = opened
        .iter()
        .map(|(path, piece)| format!("{path}:{}: {}", piece.line, first_line(piece)));
    let name = "doc comments that start with What, Whether, Who, Which, How …";
    (
        name.into(),
        format!("{share:.1} % ({} of {total})", opened.len()),
        places.collect(),
    )
}

fn code_lines(sources: &[Source], folder: &str) -> Row {
    let mut files: Vec<_> = sources
        .iter()
        .filter(|source| source.path.starts_with(folder))
        .map(|source| (source.code_lines, source.path.clone()))
        .collect();
    files.sort_by(|one, other| other.cmp(one));
    let total: usize = files.iter().map(|(lines, _)| lines).sum();
    (
        format!("lines of Rust in {folder} without tests and comments"),
        total.to_string(),
        ranked(&files),
    )
}

/// Counts the lines below some folders that are neither blank nor part of a comment.
fn written_lines(
    folders: &[&str],
    endings: &[&str],
    files: &[String],
) -> Result<Vec<(usize, String)>> {
    let is_code = |line: &&str| {
        let line = line.trim_start();
        !(line.is_empty() || ["//", "/*", "*"].iter().any(|mark| line.starts_with(mark)))
    };
    let mut counts = Vec::new();
    for path in files {
        let ending = path.rsplit('.').next().unwrap_or_default();
        let is_in = folders.iter().any(|folder| path.starts_with(folder));
        if is_in && endings.contains(&ending) && !path.contains("/generated/") {
            let text = fs::read_to_string(at(path))?;
            counts.push((text.lines().filter(is_code).count(), path.clone()));
        }
    }
    counts.sort_by(|one, other| other.cmp(one));
    Ok(counts)
}

fn script_lines(files: &[String]) -> Result<Row> {
    let counts = written_lines(&["pkg/src/"], &["ts", "tsx"], files)?;
    let total: usize = counts.iter().map(|(lines, _)| lines).sum();
    let name = "lines of TypeScript in pkg/src/ without comments";
    Ok((name.into(), total.to_string(), ranked(&counts)))
}

/// Counts the lines of the tests in all languages, with those in the modules of the core.
fn test_lines(sources: &[&Source], files: &[String]) -> Result<Row> {
    let counts = written_lines(&["tests/"], &["rs", "ts", "tsx", "mjs", "js"], files)?;
    let beside: usize = counts.iter().map(|(lines, _)| lines).sum();
    let with_modules = written_lines(&["src/"], &["rs"], files)?;
    let with_modules: usize = with_modules.iter().map(|(lines, _)| lines).sum();
    let core: usize = sources.iter().map(|source| source.code_lines).sum();
    let total = beside + with_modules.saturating_sub(core);
    let name = "lines of tests without comments";
    Ok((name.into(), total.to_string(), ranked(&counts)))
}

/// Returns a line for each file with its number.
fn ranked(places: &[(usize, String)]) -> Vec<String> {
    let line = |(count, path): &(usize, String)| format!("{count:>4} {path}");
    places.iter().map(line).collect()
}

fn cycles(sources: &[&Source], folder: &str) -> Option<Row> {
    let edges = code::dependencies(sources, folder);
    if edges.is_empty() {
        return None;
    }
    let groups = code::cycles(&edges);
    let most = groups.first().map_or(0, Vec::len);
    let mut places = Vec::new();
    for group in &groups {
        places.push(format!("{} files:", group.len()));
        for file in group {
            let inside: Vec<_> = edges[file]
                .iter()
                .filter(|target| group.contains(target))
                .map(String::as_str)
                .collect();
            places.push(format!("  {file} → {}", inside.join(" ")));
        }
    }
    Some((
        format!("files of {folder} in one dependency cycle"),
        format!("{most} of {}", edges.len()),
        places,
    ))
}

fn forbidden(texts: &[Text]) -> Row {
    let mut places = Vec::new();
    for text in texts {
        for piece in &text.pieces {
            for phrase in english::phrases(piece) {
                places.push(format!(
                    "{}:{}: \"{phrase}\" in: {}",
                    text.path,
                    piece.line,
                    first_line(piece)
                ));
            }
        }
    }
    (
        "phrases that are never right in comments and messages".into(),
        places.len().to_string(),
        places,
    )
}

/// Returns sentences with their places, in a random order that depends on the seed.
fn sample(texts: &[Text], files: &[String], options: &Options) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for text in texts {
        for piece in &text.pieces {
            let is_message = piece.kind == Kind::Literal
                && (text.path.starts_with("src/") || text.path.starts_with("pkg/src/"))
                && piece.text.split_whitespace().count() >= 5
                && !piece.text.contains(['{', '<', '=', ';']);
            if piece.kind != Kind::Literal || is_message {
                let place = format!("{}:{}", text.path, piece.line);
                all.extend(
                    english::sentences(&piece.text)
                        .into_iter()
                        .map(|one| format!("{one}  ({place})")),
                );
            }
        }
    }
    let is_document = |path: &&String| path.ends_with(".md") && !path.starts_with("pkg/");
    for path in files.iter().filter(is_document) {
        let text = fs::read_to_string(at(path))?;
        all.extend(
            english::sentences(&text)
                .into_iter()
                .map(|one| format!("{one}  ({path})")),
        );
    }
    // SplitMix64 is short, and gives the same sample on every machine.
    let mut state = options.seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut chosen = Vec::new();
    while chosen.len() < options.sample && !all.is_empty() {
        let index = usize::try_from(random() % all.len() as u64).unwrap_or(0);
        chosen.push(all.swap_remove(index));
    }
    Ok(chosen)
}
