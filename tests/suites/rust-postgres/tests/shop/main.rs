//! Tests of a shop's database by sqlx, a module for each level.

/// Makes two tests of each function: who commits in one is noticed in the other.
macro_rules! twice {
    ($($run:ident),+ $(,)?) => { $(mod $run {
        #[tokio::test]
        async fn one() { super::$run().await; }
        #[tokio::test]
        async fn two() { super::$run().await; }
    })+ };
}

mod database;
mod exclusive;
mod isolated;
mod none;
mod read;
mod transaction;
