//! One language for keys: what a plugin's options, the core properties and the service's keys are called, what their texts must
//! be, what they are when nobody says, and what is said about them.
//!
//! A table is written with [`keys!`](crate::keys), a row a key. The row's type says what [`Options::get`] gives:
//!
//! ```
//! use flb_config::keys;
//! use flb_config::keys::{Key, Many, Options, Size, Table, Text};
//!
//! keys! {
//!     const ROWS;
//!     LIMIT: Size = Key::new("limit", "Most bytes").default("4M");
//!     PATH: Option<Text> = Key::new("path", "Where to");
//!     HEADERS: Many<Text> = Key::new("header", "Name and value").repeated();
//! }
//!
//! let table = Table(&[ROWS]);
//! let options = Options::from_pairs(table, [("path", "/x")]).unwrap();
//! assert_eq!(options.get(LIMIT), 4_000_000);
//! assert_eq!(options.get(PATH), Some("/x"));
//! assert!(options.get(HEADERS).is_empty());
//! ```

mod hide;
mod key;
mod kinds;
mod options;
mod read;
mod row;

pub use hide::{hide_secrets, secrecy};
pub use key::{Each, Key, Many, Missing, Required, Slot};
pub use kinds::{
    Bool, Choice, Double, Fields, Int, Kind, List, Natural, Shape, Size, Text, Time, Word, Words,
};
pub use options::{KeyError, Options};
pub use row::{Row, Status, Table};

/// A group of keys: each a constant of the type that its row says, and all of them in the order of a table's rows.
///
/// ```
/// # use flb_config::keys::{Bool, Key};
/// flb_config::keys! {
///     /// What a sink takes.
///     pub const SINK;
///     pub MKDIR: Bool = Key::new("mkdir", "Make the folder").default("off");
/// }
/// assert_eq!(SINK[0].name, MKDIR.name());
/// ```
#[macro_export]
macro_rules! keys {
    (
        $(#[$about:meta])* $sight:vis const $table:ident;
        $($(#[$note:meta])* $own_sight:vis $name:ident: $slot:ty = $key:expr;)*
    ) => {
        $(
            #[allow(missing_docs, reason = "the row says what it is")]
            $(#[$note])*
            $own_sight const $name: $crate::keys::Key<$slot> = $key;
        )*
        $(#[$about])*
        $sight const $table: &[$crate::keys::Row] = &[$($name.row()),*];
    };
}
