//! A table of fixed capacity with keys that do not outlive what they name: `Slab` and `Key`.

/// A place in a [`Slab`] and the generation it was given out in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as one number, to travel as a token.
    #[must_use]
    pub(crate) const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key that [`Key::to_u64`] made a number of.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    pub(crate) const fn from_u64(number: u64) -> Self {
        Self { index: number as u32, generation: (number >> 32) as u32 }
    }

    /// The place, below the capacity.
    #[must_use]
    pub(crate) const fn index(self) -> usize {
        self.index as usize
    }
}

/// At most `capacity` values, allocated once.
///
/// A place is touched first when it is first used, so that memory grows with the crowd; places are
/// reused last in, first out.
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Option<u32>,
    len: usize,
}

struct Place<T> {
    generation: u32,
    content: Content<T>,
}

enum Content<T> {
    Taken(T),
    Free { next: Option<u32> },
}

impl<T> Slab<T> {
    /// An empty table; all memory it will ever use is reserved here.
    #[must_use]
    pub(crate) fn new(capacity: usize) -> Self {
        Self { places: Vec::with_capacity(capacity), free: None, len: 0 }
    }

    /// Number of values.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// Gives it back when the table is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        if let Some(index) = self.free {
            let place = &mut self.places[index as usize];
            let Content::Free { next } = place.content else {
                unreachable!("the free list holds free places")
            };
            self.free = next;
            place.content = Content::Taken(value);
            self.len += 1;
            return Ok(Key { index, generation: place.generation });
        }
        let Ok(index) = u32::try_from(self.places.len()) else { return Err(value) };
        if self.places.len() == self.places.capacity() {
            return Err(value);
        }
        self.places.push(Place { generation: 0, content: Content::Taken(value) });
        self.len += 1;
        Ok(Key { index, generation: 0 })
    }

    /// The value of `key`, unless it was removed.
    #[must_use]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.places.get(key.index()) {
            Some(Place { generation, content: Content::Taken(value) }) if *generation == key.generation => {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value of `key`, unless it was removed.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.places.get_mut(key.index()) {
            Some(Place { generation, content: Content::Taken(value) }) if *generation == key.generation => {
                Some(value)
            }
            _ => None,
        }
    }

    /// Removes and returns the value of `key`.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let place = self.places.get_mut(key.index())?;
        let Content::Taken(value) = std::mem::replace(&mut place.content, Content::Free { next: self.free })
        else {
            return None;
        };
        place.generation = place.generation.wrapping_add(1);
        self.free = Some(key.index);
        self.len -= 1;
        Some(value)
    }

    /// The key of the value in the place `index`.
    #[must_use]
    pub(crate) fn key_at(&self, index: usize) -> Option<Key> {
        match self.places.get(index)? {
            Place { generation, content: Content::Taken(_) } => {
                Some(Key { index: u32::try_from(index).ok()?, generation: *generation })
            }
            Place { content: Content::Free { .. }, .. } => None,
        }
    }

    /// The key of the first value in the place `from` or behind it.
    #[must_use]
    pub(crate) fn next_key(&self, from: usize) -> Option<Key> {
        (from..self.places.len()).find_map(|index| self.key_at(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_outlive_its_value() {
        let mut slab = Slab::new(2);
        let first = slab.insert("a").unwrap();
        let second = slab.insert("b").unwrap();
        assert_eq!(slab.insert("c"), Err("c"));
        assert_eq!(slab.remove(first), Some("a"));
        assert_eq!(slab.remove(first), None);
        let third = slab.insert("d").unwrap();
        assert_eq!(third.index(), first.index());
        assert_eq!((slab.get(first), slab.get(third), slab.get(second)), (None, Some(&"d"), Some(&"b")));
        assert_eq!(Key::from_u64(third.to_u64()), third);
        assert_eq!(slab.len(), 2);
    }
}
