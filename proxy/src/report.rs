//! What a worker did, said once at its end: `Report`.

use std::collections::BTreeMap;

use levee_buf::Memory;

use crate::cycles::{CycleSums, Cycles};
use crate::host::Host;
use crate::metrics::Counter;

/// The sums of one worker, or of several together.
#[derive(Debug, Default)]
pub struct Report {
    /// Client connections that had to be reset at the end.
    pub connections: usize,
    /// What the sessions held after every connection was aborted: nothing, or it is a leak.
    pub held: BTreeMap<&'static str, usize>,
    /// Sums by name, those of the rooms under their prefix.
    pub counters: BTreeMap<String, u64>,
    /// Where the workers' cycles went, if that was asked for.
    pub cycles: Option<CycleSums>,
}

impl Report {
    /// What `host` did; `connections` were left at the end.
    pub(crate) fn of<M: Memory>(host: &mut Host<M>, connections: usize, cycles: &Cycles) -> Self {
        let held = host.sessions().held().into_iter().collect();
        let mut report = Self { connections, held, cycles: cycles.sums(), ..Self::default() };
        for &counter in Counter::ALL {
            let sum = host.counters().sum(counter);
            report.add("", counter.name(), sum);
        }
        report.add_tcp(host.stack().counters());
        report.add_tls(host.sessions().tls_counters());
        host.sessions().account_of_engine(&mut |name, sum| report.add("public_key.", name, sum));
        host.sessions().account_of_aead(&mut |name, sum| report.add("aead.", name, sum));
        if let Some(cache) = host.sessions().cache_counters() {
            report.add_cache(cache);
        }
        report
    }

    fn add_tcp(&mut self, counters: &levee_tcp::Counters) {
        for &reason in levee_tcp::Reason::ALL {
            self.add("tcp.", reason.name(), counters[reason]);
        }
        for (name, sum) in [
            ("frames_in", counters.frames_in),
            ("frames_out", counters.frames_out),
            ("segments_in", counters.segments_in),
            ("bytes_in", counters.bytes_in),
            ("bytes_out", counters.bytes_out),
            ("retransmits", counters.retransmits),
            ("timeouts", counters.timeouts),
            ("fast_retransmits", counters.fast_retransmits),
            ("window_probes", counters.window_probes),
            ("challenge_acks", counters.challenge_acks),
            ("syn_acks", counters.syn_acks),
            ("cookies_sent", counters.cookies_sent),
            ("cookies_accepted", counters.cookies_accepted),
            ("accepted", counters.accepted),
            ("connects", counters.connects),
            ("resets_out", counters.resets_out),
            ("arp_requests", counters.arp_requests),
            ("echoes", counters.echoes),
        ] {
            self.add("tcp.", name, sum);
        }
    }

    fn add_tls(&mut self, counters: &levee_tls::Counters) {
        for (suite, sum) in levee_tls::Suite::ALL.iter().zip(counters.handshakes) {
            self.add("tls.handshakes.", suite.name(), sum);
        }
        for (error, sum) in levee_tls::Error::ALL.iter().zip(counters.errors) {
            self.add("tls.error.", error.name(), sum);
        }
        for (name, sum) in [
            ("hello_retries", counters.hello_retries),
            ("shares_passed_over", counters.shares_passed_over),
            ("gathered", counters.gathered),
            ("copied", counters.copied),
            ("early_data_skipped", counters.early_data_skipped),
            ("records_in", counters.records_in),
            ("records_out", counters.records_out),
            ("key_updates_in", counters.key_updates_in),
            ("key_updates_out", counters.key_updates_out),
            ("renegotiations_refused", counters.renegotiations_refused),
        ] {
            self.add("tls.", name, sum);
        }
    }

    fn add_cache(&mut self, counters: &levee_cache::Counters) {
        for &reason in levee_cache::Reason::ALL {
            self.add("cache.bypass.", reason.name(), counters.bypassed(reason));
            self.add("cache.not_stored.", reason.name(), counters.not_stored(reason));
        }
        for (name, sum) in [
            ("hits", counters.hits),
            ("stale_hits", counters.stale_hits),
            ("only_if_cached", counters.only_if_cached),
            ("evicted_bytes", counters.evicted_bytes),
            ("removed", counters.removed),
            ("misses", counters.misses),
            ("revalidations", counters.revalidations),
            ("validated", counters.validated),
            ("waits", counters.waits),
            ("stored", counters.stored),
            ("evictions", counters.evictions),
        ] {
            self.add("cache.", name, sum);
        }
    }

    fn add(&mut self, prefix: &str, name: &str, sum: u64) {
        *self.counters.entry(format!("{prefix}{name}")).or_default() += sum;
    }

    /// Adds what another host of the worker counted, and no more: what it held went with it.
    pub(crate) fn merge_counters(&mut self, other: &Self) {
        for (name, sum) in &other.counters {
            self.add("", name, *sum);
        }
    }

    /// Adds what another worker did.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        for (name, count) in &other.held {
            *self.held.entry(name).or_default() += count;
        }
        self.merge_counters(other);
        match (&mut self.cycles, &other.cycles) {
            (Some(sums), Some(more)) => sums.merge(more),
            (sums @ None, more) => sums.clone_from(more),
            (Some(_), None) => {}
        }
    }
}
