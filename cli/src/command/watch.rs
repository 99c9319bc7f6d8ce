//! Follows a run on a coordinator, and shows a run that has ended: to a client, both are the same stream.

use super::block_on;
use super::place::{Answering, find};
use super::run::{exit, lost};
use crate::args::{Display, NoTests, RunRef, ServerUrl, WatchArgs};
use crate::audience::{Audience, Setting};
use crate::config::decode::choose;
use crate::config::profile::{Report, ReportFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Followed, follow};
use crate::intent::Context;

/// Follows a run on a coordinator.
pub(crate) fn watch(args: WatchArgs, context: &Context<'_>) -> Result<Exit, Error> {
    block_on(show(Some(&args.on), &args.run, &args.display, context))?
}

/// Shows a run from its beginning to its end. Ctrl-C ends the showing, not the run.
pub(super) async fn show(
    on: Option<&ServerUrl>,
    run: &RunRef,
    display: &Display,
    context: &Context<'_>,
) -> Result<Exit, Error> {
    let reports = display.report.iter().map(|report| {
        let format = choose::<ReportFormat>("--report", &report.format);
        format.map(|format| Report { format, path: report.path.display().to_string() })
    });
    let reports: Vec<Report> = reports.collect::<Result<_, _>>().map_err(|mistake| Error::new(Exit::Usage, mistake))?;
    let answering = Answering::at(on, context).await?;
    let mut client = answering.runs();
    let run = find(&mut client, run).await?;
    let setting = Setting {
        slots: 0,
        fleet: None,
        profile: None,
        on: on.map(ToString::to_string),
        selection: None,
        flags: Vec::new(),
        usual: None,
        colour: context.global.color.unwrap_or_default(),
    };
    let mut audience = Audience::gather(display, &reports, &context.cwd, setting)?;
    let followed = follow(client, run, None, &mut audience).await;
    let exit = match followed {
        Ok(Followed { view, outputs }) => {
            let exit = exit(&view, NoTests::Fail, false, 0);
            Ok(audience.finish(&view, &outputs, exit))
        }
        Err(error) => {
            audience.leave();
            Err(lost(run, error))
        }
    };
    answering.end().await?;
    exit
}
