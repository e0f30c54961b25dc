//! A whole world: `World`, from its first moment to its last.

use super::client::Clients;
use super::client::plan::Plan;
use super::content::Digest;
use super::dice::Dice;
use super::event::{Event, events};
use super::ledger::{Fate, Ledger};
use super::link::{Link, Way};
use super::noise::strange;
use super::origin::Origins;
use super::proxy::Proxy;
use super::setting::{CLIENT, DOORS, SERVERS, Setting};

/// Clients, wires, the proxy and servers, on one clock.
pub(crate) struct World {
    setting: Setting,
    noise: Dice,
    now_ns: u64,
    clients: Clients,
    origins: Origins,
    pub(crate) proxy: Proxy,
    pub(crate) front: Link,
    pub(crate) back: Link,
    pub(crate) ledger: Ledger,
    /// To come, the last one first.
    events: Vec<(u64, Event)>,
    /// Frames that came to the proxy of late.
    seen: Vec<Vec<u8>>,
    history: Digest,
    steps: u64,
    /// The proxy was told to stop.
    is_stopping: bool,
    /// Breaks something with each step, for it to be noticed.
    #[cfg(test)]
    pub(crate) spoil: fn(&mut Self),
}

/// What a world comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Story {
    /// Of every frame, with its time: another world has another one.
    pub(crate) history: u64,
    pub(crate) is_calm: bool,
    pub(crate) asks: usize,
    pub(crate) exact: usize,
    pub(crate) pages: usize,
    pub(crate) steps: u64,
}

/// Clients may take so long, before the weather clears.
const LIFE_NS: u64 = 30_000_000_000;
/// After that everything ends within this: the sum of all that anybody waits for.
const REST_NS: u64 = 400_000_000_000;
/// A world that takes more steps goes round in circles.
const STEPS: u64 = 3_000_000;
/// After that nothing is under way any more: the longest wait of TCP is one minute.
const PAUSE_NS: u64 = 70_000_000_000;
/// Requests that are made when all is over.
const PROBES: usize = 2;

impl World {
    /// A world of `setting`.
    pub(crate) fn new(setting: Setting, dice: &mut Dice) -> Self {
        let mut ledger = Ledger::new(dice, setting.retries);
        let mut clients = Clients::new(CLIENT, setting.mtu, dice.noise());
        for _ in 0..setting.people {
            clients.add(Plan::any(dice, &DOORS, &mut ledger, setting.faults));
        }
        Self {
            now_ns: 1_000_000,
            clients,
            origins: Origins::new(&SERVERS, setting.mtu, setting.idle_ns, dice.noise()),
            proxy: Proxy::new(&setting, dice),
            front: Link::new(setting.front, dice.noise()),
            back: Link::new(setting.back, dice.noise()),
            ledger,
            events: events(dice, &setting),
            seen: Vec::new(),
            history: Digest::new(),
            steps: 0,
            is_stopping: false,
            noise: dice.noise(),
            setting,
            #[cfg(test)]
            spoil: |_| {},
        }
    }

    /// Runs it from its first moment to its last.
    pub(crate) fn live(mut self) -> Story {
        self.run(LIFE_NS, |world| world.clients.are_done());
        self.heal();
        self.run(REST_NS, |world| world.clients.are_done());
        self.judge();
        self.clients.leave(&mut self.ledger);
        let is_quiet = self.run(REST_NS, |world| world.proxy.is_quiet());
        assert!(is_quiet, "somebody is still being served though nobody is there");
        self.proxy.check_quiet();
        if !self.is_stopping {
            self.probe();
        }
        self.origins.leave();
        self.run(REST_NS, |world| world.proxy.is_empty());
        let story = self.story();
        self.proxy.finish(self.now_ns);
        story
    }

    /// Goes on until `is_over`, for `limit_ns` at the longest; whether it is.
    fn run(&mut self, limit_ns: u64, is_over: impl Fn(&Self) -> bool) -> bool {
        let end_ns = self.now_ns + limit_ns;
        while !is_over(self) {
            if !self.step(end_ns) {
                return is_over(self);
            }
        }
        true
    }

    /// One moment; false when `end_ns` comes before the next.
    fn step(&mut self, end_ns: u64) -> bool {
        self.steps += 1;
        assert!(self.steps < STEPS, "the world goes round in circles");
        let now_ns = self.now_ns;
        let next = [
            self.front.next_ns(),
            self.back.next_ns(),
            self.clients.next_ns(now_ns),
            self.origins.next_ns(now_ns),
            self.proxy.next_ns(now_ns),
            self.events.last().map(|&(at_ns, _)| at_ns),
        ];
        let next_ns = next.into_iter().flatten().min().unwrap_or(end_ns);
        self.now_ns = next_ns.clamp(now_ns, end_ns);
        self.ledger.now_ns = self.now_ns;
        self.history.number(self.now_ns);
        while let Some((_, event)) = self.events.pop_if(|(at_ns, _)| *at_ns <= self.now_ns) {
            self.happen(event);
        }
        #[cfg(test)]
        (self.spoil)(self);
        self.deliver();
        self.act();
        self.proxy.check();
        next_ns < end_ns
    }

    /// Frames arrive.
    fn deliver(&mut self) {
        let Self { front, back, clients, origins, proxy, seen, history, now_ns, .. } = self;
        let now_ns = *now_ns;
        while let Some((way, frame)) = front.arrived(now_ns) {
            history.bytes(&frame);
            match way {
                Way::FromProxy => clients.receive(&frame, now_ns),
                Way::ToProxy => {
                    proxy.receive(0, &frame, now_ns);
                    seen.push(frame);
                    seen.drain(..seen.len().saturating_sub(SEEN));
                }
            }
        }
        while let Some((way, frame)) = back.arrived(now_ns) {
            history.bytes(&frame);
            match way {
                Way::FromProxy => origins.receive(&frame, now_ns),
                Way::ToProxy => proxy.receive(1, &frame, now_ns),
            }
        }
    }

    /// Everybody does what there is to do.
    fn act(&mut self) {
        let Self { front, back, clients, origins, proxy, ledger, noise, now_ns, .. } = self;
        let now_ns = *now_ns;
        clients.turn(ledger, now_ns, &mut |frame| front.send(Way::ToProxy, frame, now_ns));
        for port in clients.take_vanished() {
            front.vanish(port);
        }
        origins.turn(ledger, now_ns, &mut |frame| back.send(Way::ToProxy, frame, now_ns));
        proxy.turn(noise.chance(900), now_ns, &mut |port, frame| {
            let link = if port == 0 { &mut *front } else { &mut *back };
            link.send(Way::FromProxy, frame, now_ns);
        });
    }

    fn happen(&mut self, event: Event) {
        let now_ns = self.now_ns;
        match event {
            Event::Cut { is_front: true, ns } => self.front.cut(now_ns + ns),
            Event::Cut { is_front: false, ns } => self.back.cut(now_ns + ns),
            Event::Park | Event::Resume => self.proxy.park(event == Event::Park),
            Event::Sleep(ns) => self.proxy.jump(ns),
            Event::Noise(count) => {
                for _ in 0..count {
                    let frame = strange(&mut self.noise, &self.seen);
                    self.proxy.receive(0, &frame, now_ns);
                }
            }
            Event::Stop => {
                self.is_stopping = true;
                self.proxy.host.drain();
            }
        }
    }

    /// The weather clears, engines and servers do what they should, and nothing happens any more.
    fn heal(&mut self) {
        self.events.retain(|(_, event)| *event == Event::Stop);
        self.front.heal();
        self.back.heal();
        self.proxy.heal();
        self.origins.heal();
    }

    /// In a calm world, whoever is good has got every answer that there was.
    fn judge(&self) {
        for id in self.clients.good_asks() {
            let ask = &self.ledger.asks[id];
            let is_due = self.setting.is_calm && ask.answer.fault.is_harmless();
            assert!(!is_due || ask.fate == Fate::Exact, "request {id} came to nothing: {ask:?}");
            let is_answered = ask.kept.is_some() || ask.is_redirected || ask.answered > 0;
            assert!(ask.fate != Fate::Exact || is_answered, "an answer that nobody gave: {ask:?}");
        }
    }

    /// When all is over, the proxy serves as it did in the beginning.
    fn probe(&mut self) {
        self.events.clear();
        // Servers have ended connections of which the proxy has not heard yet.
        self.run(PAUSE_NS, |_| false);
        for _ in 0..PROBES {
            let plan = Plan::probe(&mut self.noise, &DOORS, &mut self.ledger, self.now_ns);
            let id = plan.asks[0];
            self.clients.add(plan);
            self.run(REST_NS, |world| world.clients.are_done());
            let ask = &self.ledger.asks[id];
            assert_eq!(ask.fate, Fate::Exact, "the proxy has not recovered: {ask:?}");
        }
        let is_quiet = self.run(REST_NS, |world| world.proxy.is_quiet());
        assert!(is_quiet, "a client that has gone is still being served");
    }

    fn story(&self) -> Story {
        let count = |is: fn(&Fate) -> bool| self.ledger.asks.iter().filter(|ask| is(&ask.fate)).count();
        Story {
            history: self.history.value(),
            is_calm: self.setting.is_calm,
            asks: self.ledger.asks.len(),
            exact: count(|fate| *fate == Fate::Exact),
            pages: count(|fate| matches!(fate, Fate::Page(_))),
            steps: self.steps,
        }
    }
}

/// Frames that are remembered.
const SEEN: usize = 32;
