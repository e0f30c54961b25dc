use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::config::Server;
use crate::slab::Slab;

fn backend(servers: u8, balance: Balance) -> Backend {
    let server = |last| Server {
        address: SocketAddr::from(([10, 0, 0, last], 80)),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
    };
    Backend {
        name: "test".into(),
        servers: (1..=servers).map(server).collect(),
        balance,
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(1),
        keepalive: 2,
        max_connections: 3,
        max_fails: 2,
        fail_timeout: Duration::from_secs(10),
        retries: 1,
    }
}

fn connect(pools: &mut Pools, now_ns: u64) -> ServerId {
    match pools.choose(0, None, now_ns) {
        Choice::Connect(id) => id,
        other => panic!("expected a new connection, got {other:?}"),
    }
}

const fn failed(server: ServerId) -> Option<Tried> {
    Some(Tried { server, was_gone: false })
}

#[test]
fn round_robin_takes_turns_and_stops_at_the_limit() {
    let mut pools = Pools::new(&[backend(2, Balance::RoundRobin)]);
    let turns: Vec<_> = (0..6).map(|_| connect(&mut pools, 0).server).collect();
    assert_eq!(turns, [0, 1, 0, 1, 0, 1]);
    assert_eq!(pools.choose(0, None, 0), Choice::Full);
    pools.lost(ServerId { backend: 0, server: 1 });
    assert_eq!(connect(&mut pools, 0).server, 1);
}

#[test]
fn least_connections_looks_at_requests_under_way() {
    let mut pools = Pools::new(&[backend(2, Balance::LeastConnections)]);
    let first = connect(&mut pools, 0);
    let second = connect(&mut pools, 0);
    assert_ne!(first, second);
    pools.lost(second);
    assert_eq!(connect(&mut pools, 0), second);
}

#[test]
fn idle_connections_are_reused_last_first_and_bounded() {
    let mut keys = Slab::new(3);
    let mut pools = Pools::new(&[backend(1, Balance::RoundRobin)]);
    let opened: Vec<_> = (0..3).map(|n| (connect(&mut pools, 0), keys.insert(n).unwrap())).collect();
    let kept: Vec<_> = opened.iter().map(|&(id, key)| pools.give_back(id, key)).collect();
    assert_eq!(kept, [true, true, false]);
    assert_eq!(pools.choose(0, None, 0), Choice::Reuse(opened[1].1, opened[1].0));
    pools.lost_idle(opened[0].0, opened[0].1);
    pools.lost_idle(opened[0].0, opened[0].1);
    assert_eq!(pools.idle(), 0);
    assert!(matches!(pools.choose(0, None, 0), Choice::Connect(_)));
}

#[test]
fn a_server_that_fails_is_left_out_for_a_while() {
    let mut pools = Pools::new(&[backend(2, Balance::RoundRobin)]);
    let bad = ServerId { backend: 0, server: 0 };
    pools.failed(bad, 0);
    pools.failed(bad, 0);
    assert_eq!((connect(&mut pools, 1).server, connect(&mut pools, 1).server), (1, 1));
    assert_eq!(connect(&mut pools, 10_000_000_001).server, 0);
    let other = ServerId { backend: 0, server: 1 };
    for id in [bad, bad, other, other] {
        pools.failed(id, 0);
    }
    assert!(matches!(pools.choose(0, None, 1), Choice::Connect(_)), "all are out: try them anyway");
}

#[test]
fn a_retry_prefers_another_server() {
    let mut pools = Pools::new(&[backend(2, Balance::RoundRobin)]);
    let first = connect(&mut pools, 0);
    connect(&mut pools, 0);
    let Choice::Connect(second) = pools.choose(0, failed(first), 0) else { panic!("not full") };
    assert_ne!(second, first);
    let mut alone = Pools::new(&[backend(1, Balance::RoundRobin)]);
    let only = connect(&mut alone, 0);
    assert_eq!(alone.choose(0, failed(only), 0), Choice::Connect(only));
}

#[test]
fn a_second_try_goes_elsewhere_though_the_others_are_left_out() {
    let mut pools = Pools::new(&[backend(2, Balance::RoundRobin)]);
    let (first, second) = (connect(&mut pools, 0), connect(&mut pools, 0));
    for _ in 0..2 {
        pools.failed(second, 0);
    }
    // The first is in service, and has just been tried.
    assert_eq!(pools.choose(0, failed(first), 0), Choice::Connect(second));
    // With no other there is no choice.
    let mut alone = Pools::new(&[backend(1, Balance::RoundRobin)]);
    let only = connect(&mut alone, 0);
    assert_eq!(alone.choose(0, failed(only), 0), Choice::Connect(only));
}

#[test]
fn where_a_kept_connection_was_gone_the_next_one_is_new() {
    let mut keys = Slab::new(3);
    let mut pools = Pools::new(&[backend(1, Balance::RoundRobin)]);
    let opened: Vec<_> = (0..3).map(|n| (connect(&mut pools, 0), keys.insert(n).unwrap())).collect();
    assert!(opened[1..].iter().all(|&(id, key)| pools.give_back(id, key)));
    let Choice::Reuse(_, server) = pools.choose(0, None, 0) else { panic!("two are idle") };
    let gone = Some(Tried { server, was_gone: true });
    assert_eq!(pools.choose(0, gone, 0), Choice::Full);
    pools.lost(server);
    assert_eq!(pools.choose(0, gone, 0), Choice::Connect(server));
    assert_eq!(pools.choose(0, failed(server), 0), Choice::Reuse(opened[1].1, server));
}
