//! Finding the files of the suite: what pytest looks through, and the keys of what it found.

use super::super::environment::environment;
use super::super::host::{Heard, reason, text};
use super::super::keys::file_key;
use super::super::limits::{GRACE, SILENCE};
use super::super::message::{Do, Say};
use super::{Event, Shift, Stop};
use crate::runner::Tell;
use regatta_domain::listing::ListedFile;
use regatta_domain::result::RunErrorKind;
use std::sync::Arc;

impl Shift<'_> {
    pub(super) async fn discover(&mut self) {
        if !self.has_host().await {
            return;
        }
        let (root, settings) = (Arc::clone(&self.runner.root), Arc::clone(&self.runner.settings));
        let env = self.runner.brief.suite.env.clone();
        let looking = Arc::clone(&root);
        // What the keys depend on is looked at while pytest looks for files.
        let environment = tokio::task::spawn_blocking(move || environment(&looking, &settings, &env));
        self.ask(&Do::Discover).await;
        let mut paths = Vec::new();
        loop {
            match self.wait(Some(self.heard + SILENCE), false).await {
                Event::Heard(Heard::Said(Say::Files { files, more })) => {
                    paths.extend(files);
                    if !more {
                        break;
                    }
                }
                Event::Heard(Heard::Said(say)) => self.hear(say).await,
                Event::Heard(Heard::Ended(exit)) => {
                    let printed = text(self.dismiss());
                    let text = format!("{} while it looked for files:\n{printed}", reason(&exit));
                    return self.error(None, RunErrorKind::Runner, "pytest", &text).await;
                }
                Event::Late => {
                    let text = format!("pytest still looked for files after {} s\n", SILENCE.as_secs());
                    let text = text + &self.stopped(GRACE).await;
                    return self.error(None, RunErrorKind::Runner, "pytest", &text).await;
                }
                Event::Changed => {}
                Event::Control(control) => {
                    self.note(control).await;
                    match self.stop {
                        Some(Stop::Kill) => return self.kill().await,
                        Some(Stop::StartNothing) => return,
                        None => {}
                    }
                }
            }
        }
        let environment = match environment.await.expect("looking at files does not panic") {
            Ok(environment) => environment,
            Err(error) => return self.sink.tell(Tell::Error { file: None, error }).await,
        };
        let files = tokio::task::spawn_blocking(move || {
            let listed = |path: Arc<str>| {
                let key = file_key(&root, &path, &environment);
                ListedFile { path, key, locator: "".into() }
            };
            paths.into_iter().map(listed).collect()
        });
        self.sink.tell(Tell::Discovered(files.await.expect("looking at files does not panic"))).await;
    }
}
