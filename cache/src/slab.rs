//! Values in slots set aside once: `Pool`, and `Slab` with ids that a reused slot does not answer to.

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// A fixed number of values, taken and put back.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    values: Vec<T>,
    free: Vec<u32>,
}

impl<T: Default> Pool<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        // The last number is NONE.
        let capacity = u32::try_from(capacity).unwrap_or(NONE).min(NONE - 1);
        Self { values: (0..capacity).map(|_| T::default()).collect(), free: (0..capacity).rev().collect() }
    }

    /// A free slot, which holds the default value. `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Gives `slot` back and returns what it held.
    pub(crate) fn put(&mut self, slot: u32) -> T {
        self.free.push(slot);
        std::mem::take(&mut self[slot])
    }

    pub(crate) fn in_use(&self) -> usize {
        self.values.len() - self.free.len()
    }
}

impl<T> std::ops::Index<u32> for Pool<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.values[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Pool<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.values[slot as usize]
    }
}

/// A slot and the use of it that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) slot: u32,
    generation: u32,
}

/// A [`Pool`] whose values are named by [`Id`]s.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pool: Pool<T>,
    /// Odd while the slot is taken.
    generations: Vec<u32>,
}

impl<T: Default> Slab<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let pool = Pool::new(capacity);
        let generations = vec![0; pool.values.len()];
        Self { pool, generations }
    }

    /// A free slot, which holds the default value. `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<Id> {
        let slot = self.pool.take()?;
        let generation = &mut self.generations[slot as usize];
        *generation = generation.wrapping_add(1);
        Some(Id { slot, generation: *generation })
    }

    /// Gives `slot` back and returns what it held.
    pub(crate) fn put(&mut self, slot: u32) -> T {
        let generation = &mut self.generations[slot as usize];
        *generation = generation.wrapping_add(1);
        self.pool.put(slot)
    }

    /// The id of what `slot` holds.
    pub(crate) fn id(&self, slot: u32) -> Id {
        Id { slot, generation: self.generations[slot as usize] }
    }

    /// Whether `slot` holds something.
    pub(crate) fn is_taken(&self, slot: u32) -> bool {
        self.generations[slot as usize] % 2 == 1
    }

    /// Whether `id` still names what its slot holds.
    pub(crate) fn contains(&self, id: Id) -> bool {
        self.generations.get(id.slot as usize) == Some(&id.generation) && id.generation % 2 == 1
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        self.contains(id).then(|| &self.pool[id.slot])
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.contains(id).then(|| &mut self.pool[id.slot])
    }

    /// All slots, taken or not.
    pub(crate) fn slots(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.generations.len()).unwrap_or(NONE)
    }

    pub(crate) fn in_use(&self) -> usize {
        self.pool.in_use()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pool.free.is_empty()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.pool[slot]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pool[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn an_id_does_not_name_the_next_tenant() {
        let mut slab = Slab::<u8>::new(1);
        let first = slab.take().unwrap();
        slab[first.slot] = 7;
        assert_eq!(slab.get(first), Some(&7));
        assert_eq!(slab.take(), None);
        assert_eq!(slab.put(first.slot), 7);
        assert_eq!(slab.get(first), None);
        let second = slab.take().unwrap();
        assert_eq!((second.slot, slab.get(second), slab.get(first)), (first.slot, Some(&0), None));
        assert!(slab.is_taken(second.slot));
        slab.put(second.slot);
        assert!(!slab.is_taken(second.slot));
    }
}
