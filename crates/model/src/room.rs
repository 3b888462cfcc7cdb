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

/// A text without unused room.
#[must_use]
pub fn exact_text(text: String) -> String {
    if text.len() == text.capacity() {
        text
    } else {
        text.as_str().to_owned()
    }
}
