//! Panics of libraries over damaged input, turned into errors.
//!
//! The crates that read Parquet and Arrow panic over some damaged files: one flipped bit is enough.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `read` gives; its panic is the error `damaged`. Nothing that `read` has touched may be used after an error: it may be
/// half made.
pub fn guarded<T, E>(damaged: E, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    result.unwrap_or(Err(damaged))
}

/// Panics of this thread become errors from now on, by whoever waits for what it does.
pub fn guard_thread() {
    GUARDED.set(true);
}

/// From now on nothing is printed of a panic that becomes an error; of others what was printed before.
pub fn silence_guarded_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !GUARDED.get() {
            print(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_error_and_ends_the_guard() {
        assert_eq!(guarded("damaged", || Ok(1)), Ok(1));
        assert_eq!(guarded("damaged", || Err::<(), _>("refused")), Err("refused"));
        let nested = guarded("outer", || {
            let inner = guarded("inner", || -> Result<(), &str> { panic!("a library has met what it cannot be") });
            assert!(GUARDED.get());
            inner
        });
        assert_eq!((nested, GUARDED.get()), (Err("inner"), false));
    }
}
