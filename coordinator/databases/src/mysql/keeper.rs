//! Keeps copies ready before somebody asks for them.

use super::private::Private;
use super::stock::{Shelf, Stock};
use crate::limits;
use std::time::{Duration, Instant};

/// How long the one that keeps copies ready waits, at most, before it looks again.
const PAUSE: Duration = Duration::from_secs(1);

impl Stock {
    /// How many should be ready, or out and expected back: what the rate asks for, within the bytes that copies may take.
    pub(super) fn wanted(&self, shelf: &Shelf) -> usize {
        let room = limits::CLONE_BYTES / self.0.image.database_bytes.max(1);
        shelf.demand.wanted(Instant::now()).min(usize::try_from(room).unwrap_or(usize::MAX).max(1))
    }

    /// Keeps as many copies ready as the rate of leases asks for, while there is room; and a server, where they are asked for.
    pub(super) async fn keep_ready(self) {
        let mut closing = self.0.closing.subscribe();
        while !*closing.borrow() {
            let (short, surplus, spare) = {
                let mut shelf = self.shelf();
                let (wanted, there) = (self.wanted(&shelf), shelf.ready.len() + shelf.out);
                let surplus = if there > wanted + 1 { shelf.ready.pop_front() } else { None };
                (there < wanted, surplus, shelf.exclusive && shelf.spare.is_none())
            };
            if let Some(surplus) = surplus {
                surplus.remove().await;
                continue;
            }
            if short && let Ok(room) = self.0.maker.copies.clone().try_acquire_owned() {
                match self.make(room).await {
                    Ok(copied) => {
                        self.shelf().ready.push_back(copied);
                        continue;
                    }
                    Err(error) => tracing::warn!(%error, "a copy of a MariaDB database could not be made"),
                }
            }
            if spare && let Ok(room) = self.0.maker.privates.clone().try_acquire_owned() {
                match Private::make(&self.0.maker, &self.0.image, self.0.template, room).await {
                    Ok(private) => self.shelf().spare = Some(Box::new(private)),
                    Err(error) => tracing::warn!(%error, "a private MariaDB server could not be made"),
                }
            }
            tokio::select! {
                () = self.0.short.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }
}
