//! Lists of operations in flight. These lists are short, so they are searched from the front.
//!
//! The items are boxed, so that taking an item out of the list and putting it back moves only a pointer. The machine
//! code for this is the same for all item types.
#![allow(
    clippy::vec_box,
    reason = "see above: a third less code than with the values inline"
)]

use crate::prelude::*;

/// A list of operations in flight. An item that is taken out and put back moves to the end.
pub type List<T> = Vec<Box<T>>;

/// Returns the first item for which `is_it` is true.
pub fn find<T>(list: &mut List<T>, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
    list.iter_mut()
        .map(|item| &mut **item)
        .find(|item| is_it(item))
}

/// Discards all items for which `is_it` is true.
pub fn discard<T>(list: &mut List<T>, is_it: impl Fn(&T) -> bool) {
    while take(list, &is_it).is_some() {}
}

/// Removes and returns the first item for which `is_it` is true.
pub fn take<T>(list: &mut List<T>, is_it: impl Fn(&T) -> bool) -> Option<Box<T>> {
    let i = list.iter().position(|item| is_it(item))?;
    Some(list.remove(i))
}
