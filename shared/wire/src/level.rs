//! Levels on the wire.

use crate::v1;
use crate::verdict::closed;
use regatta_domain::Level;

closed! {
    Level as v1::Level:
    None = None,
    Read = Read,
    Transaction = Transaction,
    Isolated = Isolated,
    Exclusive = Exclusive,
}
