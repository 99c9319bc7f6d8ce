//! Threads: where a process does what would hold up everything else.
//!
//! A simulation has one thread, and its seed decides what follows what. There, tasks stand for threads, and what waits for a disk is
//! done in its place.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinError;

/// Whether this process has one thread for everything.
static ONE: AtomicBool = AtomicBool::new(false);

/// From now on nothing in this process is done on another thread than that of whoever asks for it.
pub fn use_one() {
    ONE.store(true, Ordering::Relaxed);
}

/// Does what waits for a disk, while others go on.
///
/// # Errors
/// When it panicked.
pub async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if ONE.load(Ordering::Relaxed) {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// A thread that was started, or the task that stands for it.
#[derive(Debug)]
pub enum Thread {
    /// A thread of its own.
    Own(std::thread::JoinHandle<()>),
    /// A task among others.
    Task(tokio::task::JoinHandle<()>),
}

/// A thread panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Starts a thread that ends with `work`, and has a clock.
///
/// # Errors
/// When the system gives none.
pub fn start(name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<Thread> {
    if ONE.load(Ordering::Relaxed) {
        return Ok(Thread::Task(tokio::spawn(work)));
    }
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || clock.block_on(work)).map(Thread::Own)
}

impl Thread {
    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it panicked, of which it has told.
    pub async fn ended(self) -> Result<(), Panicked> {
        let well = match self {
            Self::Own(thread) => {
                tokio::task::spawn_blocking(move || thread.join()).await.is_ok_and(|joined| joined.is_ok())
            }
            Self::Task(task) => task.await.is_ok(),
        };
        if well { Ok(()) } else { Err(Panicked) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_thread_has_a_name_and_a_clock_of_its_own_and_is_waited_for() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = start("rower", async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let name = std::thread::current().name().map(ToOwned::to_owned);
            tell.send(name).expect("somebody waits for it");
        });
        assert_eq!(thread.expect("there are threads left").ended().await, Ok(()));
        assert_eq!(told.await.expect("it was said").as_deref(), Some("rower"));
    }

    #[tokio::test]
    async fn a_thread_that_panics_is_known_to_have() {
        let thread = start("rower", async { panic!("on purpose") });
        assert_eq!(thread.expect("there are threads left").ended().await, Err(Panicked));
    }

    #[tokio::test]
    async fn what_waits_for_a_disk_panics_alone() {
        assert_eq!(on_disk(|| 7).await.expect("it does not panic"), 7);
        let panicked: Result<(), _> = on_disk(|| panic!("on purpose")).await;
        assert!(panicked.is_err_and(|error| error.is_panic()));
    }
}
