//! The store as its callers see it.

mod allocation;
mod coalescing;
mod eviction;
mod hostile;
mod invalidation;
mod model;
mod reuse;
mod storing;
mod validation;
