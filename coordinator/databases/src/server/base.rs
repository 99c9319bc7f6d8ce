//! The data directory that every builder begins with: what `initdb` makes, made once.

use super::Error;
use super::copy::Listing;
use super::home::Home;
use super::settings::ADMIN;
use crate::binaries::Binaries;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// Makes the base in a directory of `home`, and lists it.
///
/// `locale` is what databases sort by; without one it is `C.UTF-8`, which is the same on every machine, else `C`.
pub(crate) async fn make(binaries: &Binaries, home: &Home, locale: Option<&str>) -> Result<Listing, Error> {
    let locales = locale.map_or_else(|| vec!["C.UTF-8", "C"], |only| vec![only]);
    let mut said = String::new();
    for locale in locales {
        let directory = home.directory('b')?;
        match initialise(binaries, home, &directory, locale).await? {
            Ok(()) => return Ok(Listing::read(&directory)?),
            Err(output) => said = output,
        }
        let _ = std::fs::remove_dir_all(&directory);
    }
    Err(Error::Initdb { program: binaries.program("initdb"), said })
}

async fn initialise(
    binaries: &Binaries,
    home: &Home,
    directory: &Path,
    locale: &str,
) -> Result<Result<(), String>, Error> {
    let mut command = Command::new(binaries.program("initdb"));
    command.arg("-D").arg(directory.join("data")).args(["-U", ADMIN, "-E", "UTF8", "-N", "-A", "trust"]);
    command.arg(format!("--locale={locale}"));
    // Small segments: a private server copies its WAL, and one record fits in one megabyte as well as in sixteen.
    command.args(["--wal-segsize=1", "--no-instructions"]);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    home.account().apply(&mut command);
    let output = command.output().await?;
    Ok(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) })
}
