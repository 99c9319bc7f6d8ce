//! How the servers behind the databases are, as the core is told: while one is down, nobody is granted a seat of it, and what
//! fails meanwhile is not the tests' fault.

use super::Databases;
use crate::driver::WeakDriver;
use crate::resources::Errand;
use regatta_core::{Command, Health};
use regatta_domain::Token;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the engines are asked: they notice a server that is gone by themselves.
const EVERY: Duration = Duration::from_millis(250);

/// Takes back what was handed out under leases that have ended, and tells the core how the servers are; until the coordinator
/// ends.
pub(crate) async fn attend(
    databases: Databases,
    driver: WeakDriver,
    mut ended: mpsc::Receiver<Token>,
    errands: mpsc::Sender<Errand>,
) {
    let mut allowed: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    let mut told: BTreeMap<Arc<str>, Health> = BTreeMap::new();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            token = ended.recv() => match token {
                Some(token) => databases.end(token).await,
                None => return,
            },
            _ = tick.tick() => {
                let Some(driver) = driver.upgrade() else { return };
                let now = databases.status().await;
                // What is not asked for any more, or was declared anew, is as good as the next that asks finds it.
                let mut found: BTreeMap<Arc<str>, Health> =
                    told.keys().map(|resource| (Arc::clone(resource), Health::Well)).collect();
                for (resource, status) in now {
                    let more = status.capacity > 0 && allowed.get(&resource) != Some(&status.capacity);
                    // Where nobody listens, the coordinator is about to end; where too many speak, the next tick says it again.
                    if more && errands.try_send(Errand::Allows(Arc::clone(&resource), status.capacity)).is_ok() {
                        allowed.insert(Arc::clone(&resource), status.capacity);
                    }
                    let health = if status.health == regatta_databases::Health::Up { Health::Well } else { Health::Ill };
                    if told.get(&resource).copied().unwrap_or_default() != health {
                        tracing::warn!(%resource, health = ?status.health, "a database server has changed its state");
                    }
                    found.insert(resource, health);
                }
                for (resource, health) in found {
                    if told.insert(Arc::clone(&resource), health).unwrap_or_default() != health {
                        let examined = Command::Examined { resource, item: None, health, after: Token(u64::MAX) };
                        if driver.command(examined).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }
}
