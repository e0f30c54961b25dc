//! Which certificates answer for a server name: exact names and wildcards of one label.

/// Certificate indices by lower-case name. A wildcard is kept without its star: `.example.com`.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: Vec<(Box<[u8]>, Vec<u16>)>,
    default: Vec<u16>,
}

/// The longest DNS name (RFC 1035 section 2.3.4), in the notation without a trailing dot.
const MAX_NAME: usize = 253;

impl Names {
    /// Certificate `index` answers for `name`. Certificates come in the order of their indices.
    pub(crate) fn add(&mut self, name: &str, index: u16) {
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        let name = name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        match self.entries.iter_mut().find(|entry| entry.0 == name) {
            Some((_, indices)) if indices.contains(&index) => {}
            Some((_, indices)) => indices.push(index),
            None => self.entries.push((name, vec![index])),
        }
    }

    /// Sorts for [`Names::find`]: names by their bytes, and the certificates of each by their `rank`. The
    /// default is certificate 0 and what shares a name with it.
    pub(crate) fn order<T: Ord>(&mut self, rank: impl Fn(u16) -> T) {
        let sibling = |entry: &&(Box<[u8]>, Vec<u16>)| entry.1.contains(&0);
        self.default = self.entries.iter().filter(sibling).flat_map(|entry| entry.1.clone()).collect();
        self.default.push(0);
        self.default.sort_unstable();
        self.default.dedup();
        self.default.sort_by_key(|&index| rank(index));
        for (_, indices) in &mut self.entries {
            indices.sort_by_key(|&index| rank(index));
        }
        self.entries.sort();
    }

    /// The certificates for `name`, most preferred first, and whether one of them has the name: exact
    /// before wildcard, and the default when there is neither.
    pub(crate) fn find(&self, name: Option<&[u8]>) -> (&[u16], bool) {
        let mut room = [0; MAX_NAME];
        let found = name.and_then(|name| {
            let lower = room.get_mut(..name.len())?;
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            // RFC 6125 section 6.4.3: a wildcard stands for the left-most label, whole.
            let dot = lower.iter().position(|&byte| byte == b'.');
            self.exact(lower).or_else(|| self.exact(lower.get(dot.filter(|&dot| dot > 0)?..)?))
        });
        found.map_or((&self.default, false), |indices| (indices, true))
    }

    fn exact(&self, name: &[u8]) -> Option<&[u16]> {
        let at = self.entries.binary_search_by(|entry| entry.0.as_ref().cmp(name)).ok()?;
        self.entries.get(at).map(|entry| entry.1.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn exact_goes_before_wildcard_and_case_is_ignored() {
        let mut names = Names::default();
        for (name, index) in [("a.test", 0), ("*.a.test", 1), ("B.a.Test", 2), ("a.test", 3)] {
            names.add(name, index);
        }
        names.order(|index| index != 3);
        let check = |name: &str, expected: &[u16], known: bool| {
            assert_eq!(names.find(Some(name.as_bytes())), (expected, known), "{name}");
        };
        check("a.test", &[3, 0], true);
        check("A.TEST", &[3, 0], true);
        check("b.a.test", &[2], true);
        check("c.A.test", &[1], true);
        check("d.c.a.test", &[3, 0], false);
        check("unknown", &[3, 0], false);
        check("", &[3, 0], false);
        check(&"x".repeat(300), &[3, 0], false);
        assert_eq!(names.find(None), (&[3, 0][..], false));
    }
}
