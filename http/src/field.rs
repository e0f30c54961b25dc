//! Fields of a head: `FieldTable` holds where they lie, `Fields` reads them.
//!
//! At most [`MAX_FIELDS`]; names and values stay in the head's bytes. Not here: what a field means.

use crate::chars::trim_ows;

/// The most fields a head can have.
pub const MAX_FIELDS: usize = 100;

/// Room for the spans of a head's fields: 808 bytes, owned by the caller, used again for each head.
#[derive(Clone, Debug)]
pub struct FieldTable {
    spans: [Span; MAX_FIELDS],
    len: usize,
}

const _: () = assert!(size_of::<FieldTable>() <= 808);

impl Default for FieldTable {
    fn default() -> Self {
        Self { spans: [Span::default(); MAX_FIELDS], len: 0 }
    }
}

impl FieldTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a field; false when the table is full.
    pub(crate) fn push(&mut self, span: Span) -> bool {
        let Some(place) = self.spans.get_mut(self.len) else { return false };
        *place = span;
        self.len = self.len.saturating_add(1);
        true
    }

    pub(crate) fn fields<'a>(&'a self, head: &'a [u8]) -> Fields<'a> {
        Fields { head, spans: self.spans.get(..self.len).unwrap_or_default() }
    }
}

/// Where a field lies in its head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) name_at: u16,
    pub(crate) name_len: u16,
    pub(crate) value_at: u16,
    pub(crate) value_len: u16,
}

/// The fields of a parsed head, in their order.
///
/// Names are tokens, values are without OWS around them and without CR, LF, NUL and other control
/// characters except HTAB: only the parser makes one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    head: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Fields<'a> {
    /// Number of field lines.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// All field lines as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let head = self.head;
        self.spans.iter().map(move |span| {
            (part(head, span.name_at, span.name_len), part(head, span.value_at, span.value_len))
        })
    }

    /// The value of the first field line of that name, in any case.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Whether there is a field line of that name.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// The values of all field lines of that name, in any case.
    pub fn all<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        self.iter().filter_map(move |(each, value)| each.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The members of the list that all field lines of that name make together.
    ///
    /// RFC 9110 section 5.6.1: members stand between commas, without the white space around them; empty
    /// ones are skipped; a comma in a quoted string separates nothing.
    pub fn list<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        self.all(name).flat_map(List::new)
    }

    /// Whether that list has `member`, in any case.
    #[must_use]
    pub fn has_member(&self, name: &[u8], member: &[u8]) -> bool {
        self.list(name).any(|each| each.eq_ignore_ascii_case(member))
    }
}

fn part(head: &[u8], at: u16, len: u16) -> &[u8] {
    let start = usize::from(at);
    head.get(start..start.saturating_add(usize::from(len))).unwrap_or_default()
}

/// The members of one list value (RFC 9110 section 5.6.1).
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    rest: &'a [u8],
}

impl<'a> List<'a> {
    /// The members of `value`.
    #[must_use]
    pub const fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = member_end(self.rest);
            let (member, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
            self.rest = rest.get(1..).unwrap_or_default();
            let member = trim_ows(member);
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// The offset of the comma that ends the first member.
fn member_end(list: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let comma = list.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    comma.unwrap_or(list.len())
}
