//! Sequences of operations, compared with a model that is a map.

use std::collections::HashMap;

use levee_http::Length;
use proptest::prelude::*;

use crate::testing::{Bench, request, response};
use crate::{EntryId, FillId, Limits, Lookup, Now, Policy, Stored};

/// What happens next. Keys and languages are small numbers.
#[derive(Clone, Debug)]
enum Step {
    Get {
        key: u8,
        language: u8,
    },
    Release,
    /// A response for the oldest fetch.
    Answer {
        max_age: u64,
        varies: bool,
        length: usize,
        tagged: bool,
    },
    /// A 304 for the oldest fetch that validates, with a field of that length.
    NotModified {
        length: usize,
    },
    Abandon,
    Post {
        key: u8,
    },
    Pass {
        seconds: u64,
    },
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_u8, 0..3_u8).prop_map(|(key, language)| Step::Get { key, language }),
        2 => Just(Step::Release),
        6 => (0..30_u64, any::<bool>(), 0..40_000_usize, any::<bool>())
            .prop_map(|(max_age, varies, length, tagged)| Step::Answer { max_age, varies, length, tagged }),
        3 => prop_oneof![Just(0), Just(3000)].prop_map(|length| Step::NotModified { length }),
        1 => Just(Step::Abandon),
        1 => (0..4_u8).prop_map(|key| Step::Post { key }),
        3 => (0..20_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Purge),
    ]
}

/// What the origin last gave for a key in a language, by the map.
#[derive(Clone, Debug)]
struct Known {
    body: Vec<u8>,
    until: Now,
    varies: bool,
    language: u8,
}

/// A fetch as the test keeps it.
struct Fetch {
    id: FillId,
    key: u8,
    language: u8,
    validates: Option<EntryId>,
    /// The key was invalidated since it began.
    outdated: bool,
}

#[derive(Default)]
struct Model {
    /// What is stored, by key; what the store has evicted may still be here, but never the reverse.
    known: HashMap<u8, Vec<Known>>,
}

impl Model {
    fn store(&mut self, key: u8, new: Known) {
        let known = self.known.entry(key).or_default();
        known.retain(|old| old.varies != new.varies || (new.varies && old.language != new.language));
        known.push(new);
    }

    /// Whether a fresh response with this body may be served.
    fn may_serve(&self, key: u8, language: u8, now: Now, body: &[u8]) -> bool {
        self.known.get(&key).into_iter().flatten().any(|known| {
            known.body == body && now < known.until && (!known.varies || known.language == language)
        })
    }
}

fn head(key: u8, language: u8) -> levee_http::RequestHead<'static> {
    request(&format!("GET /{key}"), &[&format!("Accept-Language: {language}")])
}

fn run(steps: &[Step], limits: Limits) {
    let mut bench = Bench::with(limits, Policy { hit_for_miss_ms: 0, ..Policy::default() });
    let mut model = Model::default();
    let (mut fetches, mut pins) = (Vec::<Fetch>::new(), Vec::<(EntryId, Vec<u8>)>::new());
    let mut bodies = 0_usize;
    for step in steps {
        match *step {
            Step::Get { key, language } => match bench.lookup(&head(key, language), 7) {
                Lookup::Hit(entry) => {
                    let body = bench.body(entry);
                    assert!(model.may_serve(key, language, bench.now, &body), "{step:?}");
                    pins.push((entry, body));
                }
                Lookup::Fill(id) => {
                    fetches.push(Fetch { id, key, language, validates: None, outdated: false })
                }
                Lookup::Revalidate { fill, entry } => {
                    fetches.push(Fetch { id: fill, key, language, validates: Some(entry), outdated: false });
                }
                Lookup::Wait => {
                    assert!(fetches.iter().any(|fetch| fetch.key == key && !fetch.outdated), "{step:?}");
                }
                Lookup::Bypass(_) => {}
                Lookup::OnlyIfCached504 => panic!("{step:?}"),
            },
            Step::Release => {
                if let Some((entry, body)) = pins.pop() {
                    assert_eq!(bench.body(entry), body, "a pinned body stays as it was");
                    bench.store.release(entry);
                }
            }
            Step::Answer { max_age, varies, length, tagged } => {
                if fetches.is_empty() {
                    continue;
                }
                let fetch = fetches.remove(0);
                bodies += 1;
                let body: Vec<u8> = bodies.to_be_bytes().into_iter().cycle().take(length).collect();
                let control = format!("Cache-Control: max-age={max_age}");
                let mut fields = vec![control.as_str()];
                fields.extend(varies.then_some("Vary: Accept-Language"));
                fields.extend(tagged.then_some("ETag: \"1\""));
                let asked = head(fetch.key, fetch.language);
                match bench.answer(fetch.id, &asked, &response(200, &fields), &body) {
                    Ok(_) => {
                        assert!(!fetch.outdated && (max_age > 0 || tagged), "{step:?}");
                        let until = Now(bench.now.0 + max_age * 1000);
                        model.store(fetch.key, Known { body, until, varies, language: fetch.language });
                    }
                    Err(Stored::NotStorable(_) | Stored::Storing) => {}
                }
            }
            Step::NotModified { length } => {
                let Some(at) = fetches.iter().position(|fetch| fetch.validates.is_some()) else { continue };
                let fetch = fetches.remove(at);
                let field = format!("X: {}", "y".repeat(length));
                let answer = response(304, &["Cache-Control: max-age=10", "ETag: \"1\"", &field]);
                let entry = bench.store.not_modified(fetch.id, &answer, bench.now);
                let entry = entry.expect("its tag is the stored one");
                let body = bench.body(entry);
                for known in model.known.entry(fetch.key).or_default() {
                    if known.body == body {
                        known.until = Now(bench.now.0 + 10_000);
                    }
                }
                pins.push((entry, body));
            }
            Step::Abandon => {
                if let Some(fetch) = fetches.pop() {
                    bench.store.abandon(fetch.id);
                }
            }
            Step::Post { key } => {
                let post = request(&format!("POST /{key}"), &[]);
                bench.store.invalidate(&post, post.authority.as_bytes(), true, &response(200, &[]));
                model.known.remove(&key);
                fetches.iter_mut().filter(|fetch| fetch.key == key).for_each(|fetch| fetch.outdated = true);
            }
            Step::Pass { seconds } => bench.pass(seconds),
            Step::Purge => {
                bench.store.purge_all();
                model.known.clear();
                fetches.iter_mut().for_each(|fetch| fetch.outdated = true);
            }
        }
        bench.woken();
        bench.store.audit();
        assert!(bench.store.bytes() <= limits.bytes && bench.store.entries() <= limits.entries);
    }
    for (entry, body) in pins {
        assert_eq!(bench.body(entry), body);
        bench.store.release(entry);
    }
    for fetch in fetches {
        bench.store.abandon(fetch.id);
    }
    bench.store.purge_all();
    assert_eq!((bench.store.bytes(), bench.store.entries(), bench.heap.in_use()), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_served_that_a_map_would_not_serve(steps in proptest::collection::vec(step(), 1..120)) {
        run(&steps, Limits { bytes: 4 << 20, entry_bytes: 1 << 20, entries: 64, fills: 16, waiters: 64 });
    }

    #[test]
    fn nor_when_there_is_hardly_room(steps in proptest::collection::vec(step(), 1..120)) {
        run(&steps, Limits { bytes: 100 << 10, entry_bytes: 64 << 10, entries: 3, fills: 2, waiters: 2 });
    }
}

#[test]
fn with_room_enough_everything_fresh_is_served() {
    // The model says what may be served; this, that it is.
    let mut bench = Bench::new();
    let mut known = HashMap::new();
    for n in 0..60_u32 {
        let body = n.to_be_bytes().repeat(1000);
        let fill = bench.miss(&format!("/{n}"), &[]);
        let head = response(200, &["Cache-Control: max-age=60"]);
        let asked = request(&format!("GET /{n}"), &[]);
        assert_eq!(bench.store.begin(fill, &asked, &head, Length::Chunked, bench.now), Stored::Storing);
        assert!(bench.store.append(fill, &mut bench.heap.chain(&body)));
        assert!(bench.store.finish(fill, bench.now).is_some());
        known.insert(n, body);
    }
    for (n, body) in known {
        let entry = bench.hit(&format!("/{n}"), &[]);
        assert_eq!(bench.body(entry), body);
    }
}
