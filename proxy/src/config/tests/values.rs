//! One key at a time: bounds, types, words, spellings.

use super::fixture::{GOOD, check, errors, set};
use crate::config::reader::Key;

/// All keys of tables, without the tables themselves.
fn keys() -> Vec<Key> {
    // What is asked for does not depend on what is there, but for tables of lists.
    let (_, keys) = check(GOOD);
    keys.into_iter().filter(|key| !key.section.is_empty() && key.name != "offloads").collect()
}

/// What is said about the value that `line` gives the key, if anything.
fn said(key: &Key, line: &str) -> Vec<String> {
    let about = format!("`{}.{}` is ", key.section, key.name);
    let mut said = errors(&set(GOOD, key.section, line));
    said.retain(|line| line.contains(&about));
    said
}

#[test]
fn each_number_has_its_bounds() {
    let mut numbers = 0;
    for key in keys() {
        let Some((_, bounds)) = key.expects.split_once("a number from ") else { continue };
        let (least, most) = bounds.split_once(" to ").expect("two bounds");
        let (least, most): (i64, i64) = (least.parse().expect("a number"), most.parse().expect("a number"));
        let list = key.expects.starts_with("a list");
        let line =
            |n: i64| if list { format!("{} = [{n}]", key.name) } else { format!("{} = {n}", key.name) };
        let expects = key.expects.trim_start_matches("a list, each ");
        let what = |n: i64| format!("`{}.{}` is {n}; must be {expects}", key.section, key.name);
        for good in [least, most] {
            let said = said(&key, &line(good));
            assert!(!said.iter().any(|said| said.ends_with(&what(good))), "{said:?}");
        }
        for bad in [least - 1, most + 1, i64::MIN, i64::MAX] {
            let said = said(&key, &line(bad));
            assert!(
                said.len() == 1 && said.iter().all(|said| said.ends_with(&what(bad))),
                "{said:?}: {}",
                what(bad)
            );
        }
        numbers += 1;
    }
    assert!(numbers >= 40, "only {numbers} numbers");
}

#[test]
fn each_key_has_its_type() {
    for key in keys() {
        for (value, is) in [("1979-05-27", "a datetime"), ("0.5", "a float"), ("{ a = 1 }", "a table")] {
            let said = said(&key, &format!("{} = {value}", key.name));
            let what = format!("`{}.{}` is {is}; must be {}", key.section, key.name, key.expects);
            assert!(said.len() == 1 && said.iter().all(|said| said.ends_with(&what)), "{said:?}: {what}");
        }
    }
}

#[test]
fn workers_need_their_cpus() {
    let said = errors(&GOOD.replace("lcores = [1]\n", ""));
    assert!(said[0].contains("`workers.lcores` is missing"), "{said:?}");
}

#[test]
fn lists_are_of_distinct_values_and_not_empty() {
    for key in keys().iter().filter(|key| key.expects.starts_with("a list")) {
        let said = said(key, &format!("{} = []", key.name));
        let what = format!("`{}.{}` is an empty list; must be {}", key.section, key.name, key.expects);
        assert!(said.len() == 1 && said.iter().all(|said| said.ends_with(&what)), "{said:?}: {what}");
    }
    assert_eq!(
        errors(&set(GOOD, "workers", "lcores = [1, 0, 1]")),
        ["2:17: `workers.lcores` has a value twice; again: leave one out"]
    );
}

#[test]
fn lists_of_tables_have_bounds() {
    let port = |n: usize| {
        format!("[[port]]\nname = \"p{n}\"\ndevice = \"net_null{n}\"\naddress = \"10.8.{n}.1/24\"\n")
    };
    let ports = |count: usize| GOOD.to_owned() + &(2..count).map(port).collect::<String>();
    assert_eq!(errors(&ports(32)), Vec::<String>::new());
    assert_eq!(
        errors(&ports(33)),
        ["154:1: `port` is there 33 times; must be a list of at most 32 tables: write [[port]]"]
    );
}
