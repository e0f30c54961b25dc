//! What a worker lends its host: it comes home when the host goes, by a panic too.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Where things are that are not lent.
pub(crate) struct Home<T>(Rc<RefCell<Vec<T>>>);

impl<T> Home<T> {
    /// With these.
    pub(crate) fn new(things: Vec<T>) -> Self {
        Self(Rc::new(RefCell::new(things)))
    }

    /// Lends all that are there and `fit`; the others are dropped.
    pub(crate) fn lend(&self, mut fit: impl FnMut(&mut T) -> bool) -> Vec<Lent<T>> {
        let mut things = std::mem::take(&mut *self.0.borrow_mut());
        things.retain_mut(|thing| fit(thing));
        things.into_iter().map(|thing| Lent { thing: Some(thing), home: Self(Rc::clone(&self.0)) }).collect()
    }
}

/// A thing on loan.
pub(crate) struct Lent<T> {
    /// `None` only while it is dropped.
    thing: Option<T>,
    home: Home<T>,
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.thing.as_ref().expect("it is lent")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.thing.as_mut().expect("it is lent")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.home.0.borrow_mut().extend(self.thing.take());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn what_was_lent_comes_home() {
        let home = Home::new(vec![1, 2, 3]);
        let lent = home.lend(|&mut thing| thing != 2);
        assert_eq!(lent.iter().map(|thing| **thing).collect::<Vec<_>>(), [1, 3]);
        assert!(home.lend(|_| true).is_empty());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut lent = lent;
            *lent[0] = 4;
            panic!("the host");
        }));
        assert!(panicked.is_err());
        let again: Vec<_> = home.lend(|_| true).iter().map(|thing| **thing).collect();
        assert_eq!(again, [4, 3]);
    }
}
