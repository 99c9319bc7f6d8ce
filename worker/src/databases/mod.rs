//! The databases of tests, from the worker's side: asked for before an attempt, given back after it.
//!
//! - [`Provider`] is whom they are asked of: the coordinator ([`Coordinator`]), or whoever plays its part.
//! - `claim` is one thing that is asked for; `asking` asks until there is an answer, and builds templates on order (`build`);
//!   `giving` gives back until that is acknowledged.
//! - `lazy` hands out ports instead, and asks when somebody connects.
//!
//! It leaves to `runner` which test needs what, and when; and to the coordinator what a database is.

mod asking;
mod build;
mod claim;
mod giving;
mod lazy;
mod provider;

pub(crate) use asking::{Answer, ask};
pub(crate) use claim::{Claim, Urge, until_over};
pub(crate) use giving::{give_back, give_back_with};
pub(crate) use lazy::{Ports, is_lazy};
pub use provider::{Coordinator, Provider};
