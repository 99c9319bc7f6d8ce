//! Everybody who is told of a run while it goes on: the people at the terminal, who reads the event stream on standard
//! output, and the recordings that become files.

use crate::args::{Display, StreamFormat};
use crate::colour::When;
use crate::config::profile::{Report, ReportFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::forecast::{Fleet, Prospect, QUICK, before};
use crate::render::{self, Ending, Options, Paint, Screen, words};
use crate::report::{self, Recording, Stream, Target};
use crate::usual::Usual;
use crate::view::{News, Outputs, View};
use regatta_domain::result::OutputRef;
use regatta_domain::{TestIx, Time};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Stderr, Stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a run is told of.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The slots that are asked for; 0 where the fleet decides.
    pub(crate) slots: u32,
    /// What a run is predicted on; `None` where that is not known.
    pub(crate) fleet: Option<Fleet>,
    /// The profile, where it is not the default.
    pub(crate) profile: Option<String>,
    /// The coordinator, where there is one.
    pub(crate) on: Option<String>,
    /// What the tests have to be to be selected, where not all of them are asked for.
    pub(crate) selection: Option<String>,
    /// The flags that a command which runs a test again has to repeat.
    pub(crate) flags: Vec<String>,
    /// What its tests asked of their databases before, where that is compared.
    pub(crate) usual: Option<Usual>,
    /// When to use colour.
    pub(crate) colour: When,
}

/// Everybody who is told of a run.
#[derive(Debug)]
pub(crate) struct Audience {
    screen: Option<Screen<BufWriter<Stderr>>>,
    stream: Option<Stream<BufWriter<Stdout>>>,
    recordings: Vec<Recording>,
    targets: Vec<Target>,
    setting: Setting,
    trouble: Vec<Error>,
}

impl Audience {
    /// Gathers them. Recordings begin at once, so that a path which cannot be written is told before anything runs.
    ///
    /// # Errors
    /// When a recording cannot be begun.
    pub(crate) fn gather(display: &Display, reports: &[Report], base: &Path, setting: Setting) -> Result<Self, Error> {
        let env = |name: &str| std::env::var_os(name);
        let options = Options {
            paint: Paint { colour: setting.colour.for_stderr(), unicode: render::unicode(&env) },
            terminal: render::terminal(env),
            progress: display.show_progress,
            status_level: display.status_level,
            final_status_level: display.final_status_level,
            failure_output: display.failure_output,
            taskbar: render::taskbar(),
            annotations: render::in_github(&env),
            slots: setting.slots,
            profile: setting.profile.clone(),
            on: setting.on.clone(),
        };
        let (mut recordings, mut targets) = (Vec::new(), Vec::new());
        for report in reports {
            let path = base.join(&report.path);
            match report.format {
                ReportFormat::Ndjson => recordings.push(Recording::create(&path)?),
                ReportFormat::Junit => targets.push(Target::Junit(path)),
                ReportFormat::Ctrf => targets.push(Target::Ctrf(path)),
                ReportFormat::Github => targets.push(Target::Github(path)),
            }
        }
        if let Some(summary) = env("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
            targets.push(Target::StepSummary(PathBuf::from(summary)));
        }
        let stream = (display.format == StreamFormat::Ndjson).then(|| Stream::new(BufWriter::new(io::stdout())));
        let screen = Some(Screen::new(options, BufWriter::new(io::stderr())));
        Ok(Self { screen, stream, recordings, targets, setting, trouble: Vec::new() })
    }

    /// Nobody: for work that has no progress worth showing.
    pub(crate) fn nobody(colour: When) -> Self {
        let (fleet, profile, on, selection, usual) = (None, None, None, None, None);
        let setting = Setting { slots: 0, fleet, profile, on, selection, flags: Vec::new(), usual, colour };
        Self { screen: None, stream: None, recordings: Vec::new(), targets: Vec::new(), setting, trouble: Vec::new() }
    }

    /// Tells what is new.
    pub(crate) fn news(&mut self, view: &View, news: &[News]) {
        if let Some(screen) = &mut self.screen {
            screen.news(now(), view, news);
        }
        if let Some(stream) = &mut self.stream
            && let Err(gone) = stream.news(view, news)
        {
            self.stream = None;
            self.trouble.push(Error::infrastructure("cannot write the events to standard output").because(&gone));
        }
        let trouble = &mut self.trouble;
        self.recordings.retain_mut(|recording| match recording.news(view, news) {
            Ok(()) => true,
            Err(error) => {
                trouble.push(error.into());
                false
            }
        });
    }

    /// Tells that time has passed.
    pub(crate) fn tick(&mut self, view: &View) {
        let Some(screen) = &mut self.screen else { return };
        if let Some(size) = render::size() {
            screen.resize(size);
        }
        screen.tick(now(), view);
    }

    /// The output that is to be shown as soon as it can be fetched.
    pub(crate) fn wants(&self, view: &View, test: TestIx) -> Option<OutputRef> {
        self.screen.as_ref().and_then(|screen| screen.wants(view, test))
    }

    /// Shows an output that was wanted.
    pub(crate) fn output(&mut self, view: &View, test: TestIx, output: Option<&[u8]>) {
        if let Some(screen) = &mut self.screen {
            screen.output(view, test, output, &self.setting.flags);
        }
    }

    /// Names what runs, for somebody who asked.
    pub(crate) fn running(&mut self, view: &View) {
        if let Some(screen) = &mut self.screen {
            screen.running(now(), view);
        }
    }

    /// The seats of the resources that there are.
    pub(crate) fn seats(&self) -> BTreeMap<Arc<str>, u32> {
        self.setting.fleet.as_ref().map(Fleet::seats).unwrap_or_default()
    }

    /// What is possible for a run that aims at a time, as a line to be said once it is known; it takes a while to find out.
    pub(crate) fn foresee(&self, view: &View) -> Option<impl FnOnce() -> String + Send + use<>> {
        let (target, fleet) = (view.policy.target?, self.setting.fleet.clone()?);
        if self.screen.is_none() || view.policy.list_only || view.planned_count() > QUICK {
            return None;
        }
        let view = view.clone();
        Some(move || {
            let known = if view.files_to_list() > 0 { ", as far as the tests are known" } else { "" };
            let prospect = Prospect::new(&view, fleet);
            if prospect.count() == 0 {
                return format!("target {}: no test is known yet", words::span(target));
            }
            format!("{}{known}", before(&prospect, target))
        })
    }

    /// Writes a line of its own.
    pub(crate) fn say(&mut self, line: &str) {
        if let Some(screen) = &mut self.screen {
            screen.say(line);
        }
    }

    /// Tells at the end of something that did not work out: then not all is well.
    pub(crate) fn complain(&mut self, error: Error) {
        self.trouble.push(error);
    }

    /// Writes the reports, sums the run up, and tells how the process ends.
    pub(crate) fn finish(mut self, view: &View, outputs: &Outputs, exit: Exit) -> Exit {
        let (slots, fleet) = (self.setting.slots, self.setting.fleet.as_ref());
        let (selection, flags) = (self.setting.selection.as_deref(), &self.setting.flags);
        let usual = self.setting.usual.as_ref();
        let mut written: Vec<String> = Vec::new();
        let ending = Ending { exit, slots, fleet, selection, flags, usual, reports: &[] };
        for target in &self.targets {
            match target.write(view, outputs, &ending) {
                Ok(paths) => written.extend(paths.iter().map(|path| path.display().to_string())),
                Err(error) => self.trouble.push(error.into()),
            }
        }
        for recording in self.recordings {
            match recording.finish(view, &ending) {
                Ok(path) => written.push(path.display().to_string()),
                Err(error) => self.trouble.push(error.into()),
            }
        }
        let exit = if self.trouble.is_empty() { exit } else { report::exit_without_report(exit) };
        let ending = Ending { exit, slots, fleet, selection, flags, usual, reports: &written };
        if let Some(mut stream) = self.stream
            && let Err(gone) = stream.finish(view, &ending)
        {
            self.trouble.push(Error::infrastructure("cannot write the events to standard output").because(&gone));
        }
        if let Some(screen) = &mut self.screen {
            screen.finish(view, outputs, &ending);
        }
        let colour = self.setting.colour.for_stderr();
        for trouble in &self.trouble {
            eprint!("{}", trouble.render(colour));
        }
        exit
    }

    /// Leaves the terminal as it was found, for an error that is told instead of an end.
    pub(crate) fn leave(mut self) {
        if let Some(screen) = &mut self.screen {
            screen.clear();
        }
    }
}

fn now() -> Time {
    Time(regatta_runtime::clock::now_us())
}
