//! What the fleet shares: shown, declared, drained, released and reserved.

mod reserve;
mod table;
#[cfg(test)]
mod tests;

use super::place::Answering;
use super::{block_on, declared, print};
use crate::args::{ResourcesArgs, ResourcesCommand, TableFormat, Target};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::words;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::resource::Named;
use regatta_wire::v1;
use regatta_wire::v1::resources_client::ResourcesClient;
use std::path::Path;
use tonic::transport::Channel;

/// Shows what the fleet shares, or looks after it.
pub(crate) fn resources(args: ResourcesArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let ResourcesArgs { command, on, format, by } = args;
    let Some(on) = on else {
        let what = "`regatta resources` asks a coordinator, and none is named";
        let help = "write `--on http://HOST:PORT`, or set REGATTA_ON; those of this machine are under `[resources]` in regatta.toml";
        return Err(Error::usage(what).help(help));
    };
    let by = by.unwrap_or_else(somebody);
    block_on(async {
        let answering = Answering::at(Some(&on), context).await?;
        let mut client = ResourcesClient::new(answering.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        let done = match command.unwrap_or(ResourcesCommand::List) {
            ResourcesCommand::List => list(&mut client, format).await,
            ResourcesCommand::Declare(args) => declare(&mut client, &args.file, &by, context).await,
            ResourcesCommand::Withdraw(args) => withdraw(&mut client, args.name, &by).await,
            ResourcesCommand::Drain(args) => drain(&mut client, args.what, args.undo, &by).await,
            ResourcesCommand::Release(args) => release(&mut client, args.what, args.force, &by).await,
            ResourcesCommand::Reserve(args) => reserve::reserve(&mut client, &args, &by, &on.to_string()).await,
        };
        answering.end().await?;
        done
    })?
}

/// Who asks, where nobody says it.
fn somebody() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let user = user.unwrap_or_else(|| nix::unistd::getuid().to_string());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    host.map_or_else(|| user.clone(), |host| format!("{user}@{host}"))
}

/// What a coordinator refuses: what was asked makes no sense to it, or it has failed.
fn refused(what: &str, status: &tonic::Status) -> Error {
    use tonic::Code;
    let is_usage = matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::AlreadyExists | Code::OutOfRange
    );
    if is_usage { Error::usage(what) } else { Error::infrastructure(what) }.because(status)
}

async fn listed(client: &mut ResourcesClient<Channel>) -> Result<Vec<v1::ResourceStatus>, Error> {
    let listed = client.list(v1::ListResourcesRequest {}).await;
    listed
        .map(|listed| listed.into_inner().resources)
        .map_err(|status| refused("the resources cannot be listed", &status))
}

async fn list(client: &mut ResourcesClient<Channel>, format: TableFormat) -> Result<Exit, Error> {
    let resources = listed(client).await?;
    let now = regatta_runtime::clock::now_us();
    print(&match format {
        TableFormat::Human if resources.is_empty() => {
            eprintln!(
                "nothing is declared: `regatta resources declare FILE`, or `regatta coordinator --resources FILE`"
            );
            String::new()
        }
        TableFormat::Human => table::table(&resources, now),
        TableFormat::Json => format!("{}\n", serde_json::Value::from_iter(resources.iter().map(table::object))),
    })?;
    Ok(Exit::Ok)
}

async fn declare(
    client: &mut ResourcesClient<Channel>,
    file: &Path,
    by: &str,
    context: &Context<'_>,
) -> Result<Exit, Error> {
    let declared = declared::read(file, context)?;
    for (name, declared) in declared {
        let named = Named { name: name.as_str().into(), resource: declared.value.resource(None) };
        let request = v1::DeclareRequest { resource: Some((&named).into()), by: by.to_owned() };
        let done = client.declare(request).await;
        done.map_err(|status| refused(&format!("`{name}` cannot be declared"), &status))?;
        eprintln!("declared {name} ({})", named.resource.kind.name());
    }
    Ok(Exit::Ok)
}

async fn withdraw(client: &mut ResourcesClient<Channel>, name: String, by: &str) -> Result<Exit, Error> {
    let before = listed(client).await?;
    let request = v1::WithdrawRequest { name: name.clone(), by: by.to_owned() };
    let done = client.withdraw(request).await;
    done.map_err(|status| refused(&format!("`{name}` cannot be withdrawn"), &status))?;
    let known = before.iter().find(|status| status.resource.as_ref().is_some_and(|resource| resource.name == name));
    let (held, waiting) = known.map_or((0, 0), |status| {
        (status.holds.len(), status.waits.iter().map(|wait| wait.tests as usize).sum::<usize>())
    });
    eprintln!("withdrew {name}");
    if held > 0 {
        eprintln!("{} still held it, and may end; it is disposed of when they have", words::count_of(held, "lease"));
    }
    if waiting > 0 {
        let waiting = words::count_of(waiting, "test");
        eprintln!("{waiting} waited for it, and will be given up unless it is declared again");
    }
    Ok(Exit::Ok)
}

async fn drain(client: &mut ResourcesClient<Channel>, what: Target, undo: bool, by: &str) -> Result<Exit, Error> {
    let told = what.to_string();
    let request = v1::DrainRequest { name: what.name, item: what.item, undo, by: by.to_owned() };
    let done =
        client.drain(request).await.map_err(|status| refused(&format!("`{told}` cannot be drained"), &status))?;
    match (undo, done.into_inner().held) {
        (true, _) => eprintln!("{told} is granted again"),
        (false, 0) => eprintln!("{told} is drained, and nobody holds it; `--undo` grants it again"),
        (false, held) => {
            let held = words::count_of(held as usize, "lease");
            eprintln!(
                "{told} is granted to nobody any more, and held by {held} until that ends; `--undo` grants it again"
            );
        }
    }
    Ok(Exit::Ok)
}

async fn release(client: &mut ResourcesClient<Channel>, what: Target, force: bool, by: &str) -> Result<Exit, Error> {
    let told = what.to_string();
    if !force {
        let refused = format!("releasing `{told}` ends the leases that hold it");
        return Err(Error::usage(refused).help(
            "their running tests are stopped, and run again; whatever their holders say is refused. `--force` does it; \
             `regatta resources drain` lets them end",
        ));
    }
    let request = v1::ReleaseResourceRequest { name: what.name, item: what.item, by: by.to_owned() };
    let done =
        client.release(request).await.map_err(|status| refused(&format!("`{told}` cannot be released"), &status))?;
    match done.into_inner().ended {
        0 => eprintln!("nobody held {told}"),
        ended => {
            let ended = words::count_of(ended as usize, "lease");
            eprintln!("ended {ended} on {told}; their tests run again, and what their holders still say is refused");
        }
    }
    Ok(Exit::Ok)
}
