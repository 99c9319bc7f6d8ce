//! How each noun of Regatta moves: a pure state machine.
