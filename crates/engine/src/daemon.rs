//! Rounds at the period, for as long as the process lives.
