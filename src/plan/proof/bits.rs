//! Sets of witness requests.

/// A set of numbers below a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// The empty set.
    pub fn none(limit: usize) -> Self {
        Self(vec![0; limit.div_ceil(64)])
    }

    /// All numbers below the limit.
    pub fn all(limit: usize) -> Self {
        Self::of(limit, |_| true)
    }

    /// The numbers below the limit of which something is true.
    pub fn of(limit: usize, holds: impl Fn(usize) -> bool) -> Self {
        let mut bits = Self::none(limit);
        (0..limit)
            .filter(|&index| holds(index))
            .for_each(|index| bits.set(index));
        bits
    }

    /// Adds a number.
    pub fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Whether a number is in the set.
    pub fn has(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(position, &word)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| position * 64 + bit)
        })
    }

    /// Adds the numbers of another set.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |a, b| a | b);
    }

    /// Adds the numbers that are in both of two other sets.
    pub fn add_both(&mut self, a: &Self, b: &Self) {
        for (word, (a, b)) in self.0.iter_mut().zip(a.0.iter().zip(&b.0)) {
            *word |= a & b;
        }
    }

    /// Keeps what is also in another set.
    pub fn keep(&mut self, other: &Self) {
        self.zip(other, |a, b| a & b);
    }

    /// Takes away the numbers of another set.
    pub fn remove(&mut self, other: &Self) {
        self.zip(other, |a, b| a & !b);
    }

    /// What is in both.
    pub fn and(&self, other: &Self) -> Self {
        let mut found = self.clone();
        found.keep(other);
        found
    }

    /// What is in this one alone.
    pub fn minus(&self, other: &Self) -> Self {
        let mut found = self.clone();
        found.remove(other);
        found
    }

    fn zip(&mut self, other: &Self, join: impl Fn(u64, u64) -> u64) {
        for (word, &other) in self.0.iter_mut().zip(&other.0) {
            *word = join(*word, other);
        }
    }
}
