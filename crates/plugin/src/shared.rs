//! What the plugins of one agent have in common: one value a type, made by whoever needs it first.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

/// Values that plugins share, one a type.
#[derive(Debug, Default)]
pub struct Shared(Mutex<Vec<Arc<dyn Any + Send + Sync>>>);

impl Shared {
    /// The value of this type; `make` makes it if there is none yet.
    pub fn get_or_make<T: Any + Send + Sync, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.iter().find_map(|value| Arc::clone(value).downcast().ok()) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        values.push(Arc::clone(&value) as _);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_a_type() {
        let shared = Shared::default();
        let number = |n: u32| shared.get_or_make(|| Ok::<_, ()>(n)).unwrap();
        assert!(shared.get_or_make::<u32, _>(|| Err("not yet")).is_err());
        assert_eq!((*number(1), *number(2)), (1, 1));
        assert_eq!(*shared.get_or_make(|| Ok::<_, ()>("text")).unwrap(), "text");
        assert!(Arc::ptr_eq(&number(3), &number(4)));
    }
}
