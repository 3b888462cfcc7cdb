//! Room for what is kept by the ten thousand.

/// A list without unused room, which an allocator may leave where it is less than a half.
#[must_use]
pub fn exact<T>(mut list: Vec<T>) -> Vec<T> {
    if list.len() == list.capacity() {
        return list;
    }
    let mut exact = Vec::with_capacity(list.len());
    exact.append(&mut list);
    exact
}
