//! The configuration from outside: text in, a `Config` or what is said about it out.

mod accepted;
mod arbitrary;
mod cases;
mod fixture;
mod reference;
mod rendering;
mod values;
