//! Lists of things under way. They are short, so they are searched from the front.
//!
//! What is listed is boxed: to take it out, change its stage and put it back then moves a pointer,
//! and the code for that is the same for all of them.
#![allow(
    clippy::vec_box,
    reason = "see above: a third less code than with the values inline"
)]

use crate::prelude::*;

/// Things under way, in the order in which they began.
pub(super) type List<T> = Vec<Box<T>>;

/// The first that fits.
pub(super) fn find<T>(list: &mut List<T>, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
    list.iter_mut()
        .map(|item| &mut **item)
        .find(|item| is_it(item))
}

/// Discards all that fit.
pub(super) fn discard<T>(list: &mut List<T>, is_it: impl Fn(&T) -> bool) {
    while take(list, &is_it).is_some() {}
}

/// Takes out the first that fits.
pub(super) fn take<T>(list: &mut List<T>, is_it: impl Fn(&T) -> bool) -> Option<Box<T>> {
    let i = list.iter().position(|item| is_it(item))?;
    Some(list.remove(i))
}
