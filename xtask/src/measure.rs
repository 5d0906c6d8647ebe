//! `cargo xtask measure`: measures the readability of sources and documents, and samples sentences.

mod code;
mod english;
pub(crate) mod floors;
pub(crate) mod lint;
mod scan;

use crate::paths::{at, files_below, root};
use crate::process;
use anyhow::Result;
use code::Source;
use scan::{Kind, Language, Piece};
use std::collections::{BTreeMap, BTreeSet};
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
        doc_openings(&texts),
        test_names(&everything),
        code_lines(&everything, "src/"),
        code_lines(&everything, "xtask/"),
        methods(&sources),
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

fn test_names(sources: &[Source]) -> Row {
    let words = |name: &str| name.split('_').filter(|word| !word.is_empty()).count();
    let mut names: Vec<(usize, String)> = sources
        .iter()
        .flat_map(|source| {
            source
                .tests
                .iter()
                .map(|name| (words(name), format!("{}: {name}", source.path)))
        })
        .collect();
    names.sort();
    let median = names.get(names.len() / 2).map_or(0, |(count, _)| *count);
    let long: Vec<String> = names
        .iter()
        .filter(|(count, _)| *count > 12)
        .map(|(_, name)| name.clone())
        .collect();
    let value = format!(
        "median {median}; {} of {} longer than 12",
        long.len(),
        names.len()
    );
    ("words in names of Rust tests".into(), value, long)
}

fn code_lines(sources: &[Source], folder: &str) -> Row {
    let mut files: Vec<_> = sources
        .iter()
        .filter(|source| source.path.starts_with(folder))
        .map(|source| (source.code_lines, &source.path))
        .collect();
    files.sort_by(|one, other| other.cmp(one));
    let total: usize = files.iter().map(|(lines, _)| lines).sum();
    (
        format!("lines of Rust in {folder} without tests and comments"),
        total.to_string(),
        ranked(&files),
    )
}

/// Returns a line for each file with its number.
fn ranked(places: &[(usize, &String)]) -> Vec<String> {
    let line = |(count, path): &(usize, &String)| format!("{count:>4} {path}");
    places.iter().map(line).collect()
}

fn methods(sources: &[&Source]) -> Row {
    let mut methods: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        for (name, method) in &source.methods {
            methods
                .entry((floors::floor(&source.path).unwrap_or("rules"), name))
                .or_default()
                .insert(method);
        }
    }
    let counts = methods.iter().map(|(name, methods)| (*name, methods.len()));
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let list = |least: usize| {
        let chosen = counts.iter().filter(|(_, count)| *count > least);
        chosen
            .map(|((floor, name), count)| format!("{floor}::{name} {count}"))
            .collect::<Vec<_>>()
    };
    let value = format!(
        "{} types with more than 40; most: {}",
        list(40).len(),
        list(0).first().cloned().unwrap_or_default()
    );
    ("methods per type".into(), value, list(25))
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
