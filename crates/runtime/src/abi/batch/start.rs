//! The start block: what a guest knows of its configuration, and its chance to refuse it.

use flb_artifact::contract::BATCH_START;
use flb_event::msgpack;

use super::block::{ROOM, VERSION};
use super::sight::{Sight, word};
use super::verdict::reason;
use crate::abi::arguments::HostPages;
use crate::guest::Guest;
use crate::machine::Function;
use crate::{FilterError, FilterOptions, LoadError};

/// Bytes of the block, and where in it a reason is named.
const SIZE: usize = 48;
const REASON: usize = 32;
/// Most bytes that configuration and name may take, so that batches still find room.
const MOST: usize = 256 << 10;

/// Writes the block at the beginning of the host's pages, and lets the guest start if it wants to. How many bytes of the pages
/// are taken from now on.
pub(super) fn start(
    guest: &mut Guest,
    pages: &mut HostPages,
    options: &FilterOptions,
) -> Result<usize, LoadError> {
    let name = options.name.as_bytes();
    let config = config(options)?;
    let (name_at, config_at) = (SIZE, SIZE + name.len() + 1);
    let taken = (config_at + config.len()).next_multiple_of(16);
    if taken > MOST {
        let reason =
            format!("its Config properties take {} bytes, {MOST} are the most", config.len());
        return Err(LoadError::Instantiate { reason });
    }
    let refused = |error: FilterError| LoadError::Instantiate { reason: error.to_string() };
    pages.open(guest, taken + ROOM).map_err(refused)?;
    let at = pages.offset;
    let words: [u32; SIZE / 4] = [
        VERSION,
        SIZE as u32,
        (at + config_at) as u32,
        config.len() as u32,
        (at + name_at) as u32,
        name.len() as u32,
        (at + taken) as u32,
        ROOM as u32,
        0,
        0,
        0,
        0,
    ];
    let block = &mut guest.memory_mut()[at..][..taken];
    block[..SIZE].copy_from_slice(words.map(u32::to_le_bytes).as_flattened());
    block[name_at..config_at - 1].copy_from_slice(name);
    block[config_at - 1] = 0;
    block[config_at..][..config.len()].copy_from_slice(&config);
    if let Some(function) = guest.function(BATCH_START) {
        call(guest, pages, &function)?;
    }
    Ok(taken)
}

/// The properties as one msgpack map of texts.
fn config(options: &FilterOptions) -> Result<Vec<u8>, LoadError> {
    let mut config = Vec::new();
    let count = u32::try_from(options.config.len())
        .map_err(|_| LoadError::Instantiate { reason: "it has too many properties".to_owned() })?;
    msgpack::write_map_header(&mut config, count);
    for (key, value) in &options.config {
        msgpack::write_str(&mut config, key);
        msgpack::write_str(&mut config, value);
    }
    Ok(config)
}

fn call(
    guest: &mut Guest,
    pages: &HostPages,
    function: &Function<u32, u32>,
) -> Result<(), LoadError> {
    guest.begin();
    let at = pages.offset;
    let returned = guest.call(function, at as u32);
    if let Ok(0) = returned {
        return Ok(());
    }
    let sight = Sight::of(guest, pages.range());
    let at = at + REASON;
    let reason = reason(&sight, word(sight.memory, at), word(sight.memory, at + 4));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Err(match returned {
        Ok(code) => {
            LoadError::Instantiate { reason: format!("{BATCH_START} returned {code}{reason}") }
        }
        Err(FilterError::Deadline { milliseconds, .. }) => {
            LoadError::StartDeadline { what: BATCH_START, milliseconds, reason }
        }
        Err(error) => LoadError::Instantiate { reason: format!("{error}{reason}") },
    })
}
