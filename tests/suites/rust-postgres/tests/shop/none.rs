//! Tests that never touch the database.

fn split(amount: u64, ways: u64) -> Vec<u64> {
    (0..ways).map(|at| amount / ways + u64::from(at < amount % ways)).collect()
}

#[test]
fn nothing_is_lost_in_a_split() {
    assert!((1..100).all(|ways| split(1000, ways).iter().sum::<u64>() == 1000));
}

#[test]
fn shares_are_almost_alike() {
    assert!((1..100).map(|ways| split(1000, ways)).all(|shares| shares[0] - shares[shares.len() - 1] <= 1));
}

#[test]
fn one_has_it_all() {
    assert_eq!(split(1000, 1), [1000]);
}

#[test]
fn no_database_is_named() {
    // In a run without levels there is one for everybody.
    assert!(std::env::var_os("REGATTA_LEVEL").is_none_or(|_| std::env::var_os("DATABASE_URL").is_none()));
}
