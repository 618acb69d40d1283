//! What the command lines of both programs share beyond clap: `help`, what is wrong with one, names that completions offer,
//! completions, manual pages, tables as wide as the terminal, and colours; and, with musl, where both get memory from.

#[cfg(target_env = "musl")]
mod allocator;
mod completions;
mod help;
mod offer;
mod page;
mod slip;
mod table;

use anstyle::{AnsiColor, Style};

pub use completions::{SHELLS, script};
pub use help::with_help_option;
pub use offer::{Offer, offer};
pub use page::Page;
pub use slip::Slip;
pub use table::{entry, wrapped};

/// How a word looks that begins an error.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How a word looks that begins advice, or what is worth knowing.
pub const NOTE: Style = Style::new().bold();

/// How a heading in a help text looks: as clap's own.
pub const HEADING: Style = Style::new().bold().underline();
