//! The whole proxy in one thread, in a world that is made of a seed: clients of all manners on links that lose, double,
//! reorder, delay and corrupt, servers that answer well, slowly, partly or with garbage, engines that answer late or
//! not at all, too little of everything. The clock and all randomness are the world's: a seed gives the same world
//! bit for bit, each time.
//!
//! | file | job |
//! |---|---|
//! | `dice` | choices, from a seed or from a program |
//! | `setting` | what a world is like, and the configuration of its proxy |
//! | `world` | the clock: everybody's turn, and what is checked |
//! | `proxy` | the host, with devices made of queues |
//! | `engines` | public-key and AEAD engines that answer late, in another order, or wrongly |
//! | `link` | the wires, and their weather |
//! | `machine` | our TCP in the part of a peer |
//! | `client` | people: their plans, and their connections |
//! | `origin`, `answer` | the servers, and what they say |
//! | `noise`, `event` | what nobody there has sent, and what happens to all |
//! | `ledger` | requests, what comes of them, and what must never |
//! | `text`, `content` | HTTP by other code than the proxy's; bytes that are known at every place |
//! | `identity` | certificates |
//!
//! # What holds in every world
//!
//! - Between any two turns the tables of sessions, pools and TCP agree, counters add up, and whoever is connected has
//!   a deadline (`Sessions::check`).
//! - A server gets the requests that were sent, byte for byte, and none twice that must not be repeated.
//! - A client gets the answer to its own request, byte for byte, or a page of the proxy for which there is a reason, or
//!   the visible end of the connection: never a part as the whole.
//! - In a calm world a good client gets every answer that its server gives.
//! - When clients have gone, every connection ends by itself; then the proxy serves as at first; at the end nothing is
//!   held: no slot, key, job, segment.

mod answer;
mod client;
mod content;
mod dice;
mod engines;
mod event;
mod identity;
mod ledger;
mod link;
mod machine;
mod noise;
mod origin;
mod proxy;
mod setting;
#[cfg(test)]
mod tests;
mod text;
mod world;

use dice::Dice;
use setting::Setting;
use world::{Story, World};

/// The world of `seed`.
#[cfg(test)]
fn run_seed(seed: u64) -> Story {
    run(&mut Dice::seeded(seed))
}

/// The world that `program` describes.
///
/// # Panics
/// Something does not hold.
pub fn run_program(program: &[u8]) {
    run(&mut Dice::program(program));
}

fn run(dice: &mut Dice) -> Story {
    let setting = Setting::any(dice);
    World::new(setting, dice).live()
}
