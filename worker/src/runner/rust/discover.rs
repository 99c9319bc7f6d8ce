//! Finding the files of a rust suite: build every test binary, and name each.
//!
//! The key of a binary is its content: what it lists cannot change without it. Doc tests have no binary; their key is
//! the content of the sources that the compiler read for the library, included documents too.

use super::config;
use super::facts::Facts;
use super::locator::{self, Binary, Locator};
use super::messages::{Artifact, Build, Metadata, Package};
use super::settings::RustSettings;
use crate::process::{Captured, Command, Ending, Pipes, Printed, Process, Ran, SpawnError, Streams};
use crate::runner::reason::end_of;
use crate::runner::{Brief, Place, Sink, Tell};
use regatta_domain::FileKey;
use regatta_domain::listing::ListedFile;
use regatta_domain::result::{RunError, RunErrorKind};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::time::Instant;

/// A build from nothing of a very large workspace takes an hour; nobody waits longer than this.
const BUILD: Duration = Duration::from_secs(4 * 3600);

/// Questions to cargo and the compiler, which touch the disk and, at worst, the registry.
const ASK: Duration = Duration::from_secs(300);

const GRACE: Duration = Duration::from_secs(5);

/// Builds the suite, and tells its files. Progress goes to `sink`.
pub(super) async fn discover(
    brief: &Brief,
    settings: &RustSettings,
    place: &Place,
    sink: &Sink,
) -> Result<Vec<ListedFile>, RunError> {
    let (metadata, libraries) = tokio::join!(metadata(brief, settings, place), libraries(brief, settings, place));
    let metadata = metadata?;
    let build = build(brief, settings, place, sink).await?;
    let (wanted, root) = (settings.clone(), brief.suite.root.clone());
    let inherited = brief.suite.env.iter().rfind(|(name, _)| &**name == "LD_LIBRARY_PATH");
    let inherited = inherited.map(|(_, value)| value.to_string()).or_else(|| std::env::var("LD_LIBRARY_PATH").ok());
    let (name, own) = (brief.suite.name.clone(), brief.suite.env.clone());
    let listed = tokio::task::spawn_blocking(move || {
        let root = Path::new(&*root);
        let is_set = |name: &str| own.iter().any(|(own, _)| &**own == name) || std::env::var_os(name).is_some();
        let configured = config::environment(root, is_set);
        let facts = Facts { metadata: &metadata, build: &build, libraries, inherited, configured };
        files(&facts, &wanted, root)
    });
    listed.await.unwrap_or_else(|stopped| {
        let message = format!("reading the test binaries was stopped: {stopped}").into();
        Err(RunError { kind: RunErrorKind::Infrastructure, place: name, message })
    })
}

/// A mistake in the suite's set-up: cargo is not there, or finds no manifest.
fn unusable(brief: &Brief, message: String) -> RunError {
    RunError { kind: RunErrorKind::Runner, place: brief.suite.name.clone(), message: message.into() }
}

fn not_started(brief: &Brief, error: &SpawnError) -> RunError {
    let help = match error {
        SpawnError::NotFound { .. } => " (install Rust from https://rustup.rs, or put cargo on the PATH)",
        _ => "",
    };
    let kind = if error.is_of_the_machine() { RunErrorKind::Infrastructure } else { RunErrorKind::Runner };
    RunError { kind, ..unusable(brief, format!("{error}{help}")) }
}

async fn metadata(brief: &Brief, settings: &RustSettings, place: &Place) -> Result<Metadata, RunError> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"].map(str::to_owned);
    let ran = ask(place, &settings.cargo(&brief.suite, arguments)).await.map_err(|error| not_started(brief, &error))?;
    if ran.exit.ending != Ending::Exited(0) {
        let said = lossy(ran.stderr);
        return Err(unusable(brief, format!("cargo cannot work in {}:\n{}", brief.suite.root, end_of(&said))));
    }
    serde_json::from_slice(&ran.stdout.into_bytes())
        .map_err(|error| unusable(brief, format!("`cargo metadata` answered something unknown: {error}")))
}

/// Where the compiler keeps its libraries. Only tests that link them dynamically need to know, so that a compiler that
/// does not say is no error.
async fn libraries(brief: &Brief, settings: &RustSettings, place: &Place) -> Option<PathBuf> {
    let mut command = settings.cargo(&brief.suite, ["--print", "target-libdir"].map(str::to_owned));
    command.argv[0] = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let ran = ask(place, &command).await.ok()?;
    let said = lossy(ran.stdout);
    (ran.exit.ending == Ending::Exited(0)).then(|| PathBuf::from(said.trim()))
}

async fn ask(place: &Place, command: &Command) -> Result<Ran, SpawnError> {
    place.spawner.list(command, ASK, GRACE).await
}

async fn build(brief: &Brief, settings: &RustSettings, place: &Place, sink: &Sink) -> Result<Build, RunError> {
    let command = settings.build(&brief.suite);
    let failed = |error: SpawnError| not_started(brief, &error);
    let mut process = place.spawner.spawn(&command, Streams::Apart).await.map_err(failed)?;
    let mut pipes = process.take_pipes();
    let progress = Progress { sink, line: Vec::new() };
    let (said, errors, ending) = follow(&mut process, &mut pipes, progress).await.map_err(failed)?;
    if ending == Ending::Exited(0) {
        return Ok(Build::read(&said));
    }
    let errors: Vec<&str> = errors.lines().filter(|line| status(line).is_none()).collect();
    let message = match errors.join("\n") {
        silent if silent.trim().is_empty() => format!("cargo ended with {ending} and said nothing"),
        errors => end_of(&errors).to_owned(),
    };
    Err(RunError { kind: RunErrorKind::Build, place: brief.suite.name.clone(), message: message.into() })
}

/// Reads both streams of a build to their ends: the messages whole, the rest bounded and line by line to people.
async fn follow(
    process: &mut Process,
    pipes: &mut Pipes,
    mut progress: Progress<'_>,
) -> Result<(String, String, Ending), SpawnError> {
    let deadline = Instant::now() + BUILD;
    let (mut said, mut errors) = (Captured::list(), Captured::default());
    let reading = async {
        while let Some(printed) = pipes.next().await {
            match printed {
                Printed::Stdout(bytes) => said.push(bytes),
                Printed::Stderr(bytes) => {
                    errors.push(bytes);
                    progress.read(bytes).await;
                }
            }
        }
    };
    let (ended, ()) = tokio::join!(process.wait_until(deadline, GRACE), reading);
    let (exit, _late) = ended?;
    Ok((lossy(said), lossy(errors), exit.ending))
}

/// Tells people what cargo is at, as it goes.
struct Progress<'a> {
    sink: &'a Sink,
    line: Vec<u8>,
}

impl Progress<'_> {
    async fn read(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&part[..part.len().min(1_000)]);
            if part.ends_with(b"\n") || self.line.len() > 1_000 {
                let line = std::mem::take(&mut self.line);
                if let Some(status) = status(&String::from_utf8_lossy(&line)) {
                    self.sink.tell(Tell::Note(status.to_owned())).await;
                }
            }
        }
    }
}

/// A line that says what cargo is at: a verb, set to the right of a column of twelve.
fn status(line: &str) -> Option<&str> {
    let status = line.trim();
    let indent = line.len() - line.trim_start().len();
    let verb = status.split(' ').next().unwrap_or_default();
    let is_verb = verb.starts_with(|first: char| first.is_ascii_uppercase()) && verb.chars().all(char::is_alphanumeric);
    (is_verb && indent > 0 && indent + verb.len() == 12).then_some(status)
}

fn lossy(captured: Captured) -> String {
    String::from_utf8_lossy(&captured.into_bytes()).into_owned()
}

/// Those settings that decide what a binary lists.
pub(super) fn listing_settings(settings: &RustSettings) -> String {
    format!("{:?} {:?}", settings.ignored, settings.args)
}

/// The files of a build, in the order of their names.
fn files(facts: &Facts<'_>, settings: &RustSettings, root: &Path) -> Result<Vec<ListedFile>, RunError> {
    let listing = listing_settings(settings);
    let chosen = facts.metadata.chosen(root);
    let mut wanted: Vec<(String, &Package, &Artifact)> = Vec::new();
    for artifact in &facts.build.artifacts {
        let Some(package) = facts.package(&artifact.package_id) else { continue };
        let is_test = artifact.profile.test && artifact.executable.is_some();
        let is_documented = settings.doc && artifact.target.doctest && !artifact.profile.test;
        if is_test {
            wanted.push((label(package, artifact), package, artifact));
        } else if is_documented && is_selected(&chosen, settings, package) {
            wanted.push((format!("{}::doc", package.name), package, artifact));
        }
    }
    wanted.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    wanted.dedup_by(|(a, ..), (b, ..)| a == b);
    // Binaries are large: the hashing is shared among the cores.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<_> = wanted.chunks(wanted.len().div_ceil(cores).max(1)).collect();
    let listing = &listing;
    let list = |part: &[(String, &Package, &Artifact)]| -> Result<Vec<ListedFile>, RunError> {
        part.iter().map(|(label, package, artifact)| file(facts, listing, label, package, artifact)).collect()
    };
    thread::scope(|scope| {
        let tasks: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || list(part))).collect();
        let listed = tasks.into_iter().map(|task| task.join().expect("hashing does not panic"));
        Ok(listed.collect::<Result<Vec<_>, _>>()?.concat())
    })
}

fn file(
    facts: &Facts<'_>,
    listing: &str,
    label: &str,
    package: &Package,
    artifact: &Artifact,
) -> Result<ListedFile, RunError> {
    let (key, locator) = match &artifact.executable {
        Some(executable) if artifact.profile.test => {
            binary(facts, listing, package, executable).map_err(|error| unreadable(label, executable, &error))?
        }
        _ => (doc_key(facts, listing, artifact), Locator::Doc { package: package.name.clone() }),
    };
    Ok(ListedFile { path: label.into(), key, locator: locator.to_text().into() })
}

fn binary(
    facts: &Facts<'_>,
    listing: &str,
    package: &Package,
    executable: &Path,
) -> std::io::Result<(FileKey, Locator)> {
    let (hash, stamp) = locator::hash(executable)?;
    let cwd = package.manifest_path.parent().unwrap_or(Path::new("")).to_owned();
    let env = facts.environment(package, executable);
    let binary = Binary { executable: executable.to_owned(), cwd, env, stamp };
    Ok((locator::key("binary", listing, [hash]), Locator::Binary(binary)))
}

fn unreadable(label: &str, path: &Path, error: &std::io::Error) -> RunError {
    let message = format!("cannot read {}: {error}", path.display()).into();
    RunError { kind: RunErrorKind::Infrastructure, place: label.into(), message }
}

/// `pkg` for its library, `pkg::tests/name` and the like for the rest.
fn label(package: &Package, artifact: &Artifact) -> String {
    let (name, target) = (&package.name, &artifact.target.name);
    match artifact.target.kind.first().map(String::as_str) {
        Some("test") => format!("{name}::tests/{target}"),
        Some(kind @ ("bin" | "example" | "bench")) => format!("{name}::{kind}/{target}"),
        _ => name.clone(),
    }
}

/// Whether cargo would run the doc tests of `package`, or has built it only because others need it.
fn is_selected(chosen: &[&str], settings: &RustSettings, package: &Package) -> bool {
    if settings.workspace {
        return true;
    }
    if !settings.packages.is_empty() {
        return settings.packages.iter().any(|wanted| names(wanted, package));
    }
    chosen.contains(&package.id.as_str())
}

/// Whether `-p wanted` means `package`: by its name, perhaps with a version behind it, or by its id.
fn names(wanted: &str, package: &Package) -> bool {
    wanted == package.id || wanted.split('@').next() == Some(&package.name)
}

/// The key of a library's doc tests: of all sources that the compiler read for it. Where it cannot be told, one that
/// was never seen before, so that nothing is remembered.
fn doc_key(facts: &Facts<'_>, listing: &str, artifact: &Artifact) -> FileKey {
    let hashes = sources(artifact).and_then(|sources| {
        let root = &facts.metadata.workspace_root;
        sources.iter().map(|source| locator::hash(&root.join(source)).ok().map(|(hash, _)| hash)).collect()
    });
    let unseen = || {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        vec![blake3::hash(&now.as_nanos().to_le_bytes())]
    };
    locator::key("doc", listing, hashes.unwrap_or_else(unseen))
}

/// The sources of a library, from the dependency file that the compiler writes beside it.
fn sources(artifact: &Artifact) -> Option<Vec<PathBuf>> {
    let output =
        artifact.filenames.iter().find(|file| file.extension().is_some_and(|end| end == "rmeta" || end == "rlib"));
    let output = output.or(artifact.filenames.first())?;
    let stem = output.file_stem()?.to_str()?;
    let dependencies = output.with_file_name(stem.strip_prefix("lib").unwrap_or(stem)).with_extension("d");
    dependencies_in(&std::fs::read_to_string(dependencies).ok()?)
}

/// What the first rule of a dependency file depends on. Spaces in names are escaped.
fn dependencies_in(text: &str) -> Option<Vec<PathBuf>> {
    let (_, dependencies) = text.lines().next()?.split_once(": ")?;
    let hidden = dependencies.replace("\\ ", "\0");
    Some(hidden.split_ascii_whitespace().map(|path| PathBuf::from(path.replace('\0', " "))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_is_at_is_told_and_diagnostics_are_not() {
        assert_eq!(status("   Compiling regatta v0.1.0 (/w)"), Some("Compiling regatta v0.1.0 (/w)"));
        assert_eq!(
            status("    Blocking waiting for file lock on build directory"),
            Some("Blocking waiting for file lock on build directory")
        );
        assert_eq!(status("error[E0308]: mismatched types"), None);
        assert_eq!(status("  --> src/lib.rs:1:1"), None);
        assert_eq!(status("   = note: Expected"), None);
    }

    #[test]
    fn a_dependency_file_names_the_sources() {
        let text = "/t/p-1.d: src/lib.rs src/with\\ space.rs README.md\n\n/t/libp.rlib: src/lib.rs\n";
        let expected = ["src/lib.rs", "src/with space.rs", "README.md"].map(PathBuf::from);
        assert_eq!(dependencies_in(text), Some(expected.to_vec()));
    }
}
