//! Congestion control. One algorithm, NewReno; its state is a value in the connection.

mod newreno;

pub(crate) use newreno::{DupAck, NewReno};
