//! libsystemd, which reads the journal's files: loaded when an input needs it, so that the agent starts where it is missing.
//! One of the project's homes of `unsafe`.
//!
//! The library knows what no reader of ours could be sure of: files that are written while they are read, rotated, removed, damaged,
//! and compressed in whatever way this machine's journald does.
//!
//! # Why this is sound
//!
//! 1. **The functions are what they are taken for.** Their names and types are those of `systemd/sd-journal.h`, and the library's soname,
//!    `libsystemd.so.0`, promises that none of them ever changes. All are looked up before any is called; one that is
//!    missing is an error. The library is never unloaded, so their addresses stay.
//! 2. **A reader stays on its thread,** as the library demands: a [`Journal`] has a pointer in it, so it is neither `Send` nor
//!    `Sync`. It is what `sd_journal_open` gave, is not null, and is closed once, when it is dropped. No pointer to it is given away.
//! 3. **Texts are whole.** What is passed is a C string made here, or bytes with their length, and the library copies both before it
//!    returns.
//! 4. **What is lent is given back in time.** Fields lie in the library's memory and are good until its next call with this
//!    reader: the slice borrows the [`Journal`] mutably, so there can be none. Its length is the library's. A cursor is the
//!    caller's, is copied and freed.
//! 5. **The library keeps to itself.** It changes no handler, no signal mask and no working directory, and does not unwind: it is C.
//!
//! What it cannot help: the files are mapped, and one that is cut off while it is read ends the process (`SIGBUS`), here as in every
//! program that reads the journal. journald never cuts off a file that it has written to.
#![expect(unsafe_code, reason = "foreign functions are; see the module's words")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::time::Duration;

/// As programs are linked with it.
pub(super) const NAME: &CStr = c"libsystemd.so.0";

/// Only what this machine wrote.
const LOCAL_ONLY: c_int = 1;

/// A reader, as the library has it.
type Sd = c_void;

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("{0}")]
    Missing(String),
    #[error("{} has no function {}", NAME.to_string_lossy(), .0.to_string_lossy())]
    TooOld(&'static CStr),
}

/// Its functions.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        #[derive(Debug, Clone, Copy)]
        pub(super) struct Library {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Library {
            fn find(handle: NonNull<c_void>) -> Result<Self, LoadError> {
                Ok(Self {
                    $($field: {
                        let address = address(handle, $name)?;
                        // SAFETY: it is the function of this name, whose type this is (1).
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(address.as_ptr())
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    open = c"sd_journal_open": fn(*mut *mut Sd, c_int) -> c_int;
    open_directory = c"sd_journal_open_directory": fn(*mut *mut Sd, *const c_char, c_int) -> c_int;
    close = c"sd_journal_close": fn(*mut Sd);
    set_data_threshold = c"sd_journal_set_data_threshold": fn(*mut Sd, usize) -> c_int;
    add_match = c"sd_journal_add_match": fn(*mut Sd, *const c_void, usize) -> c_int;
    add_conjunction = c"sd_journal_add_conjunction": fn(*mut Sd) -> c_int;
    add_disjunction = c"sd_journal_add_disjunction": fn(*mut Sd) -> c_int;
    seek_head = c"sd_journal_seek_head": fn(*mut Sd) -> c_int;
    seek_tail = c"sd_journal_seek_tail": fn(*mut Sd) -> c_int;
    seek_cursor = c"sd_journal_seek_cursor": fn(*mut Sd, *const c_char) -> c_int;
    test_cursor = c"sd_journal_test_cursor": fn(*mut Sd, *const c_char) -> c_int;
    next = c"sd_journal_next": fn(*mut Sd) -> c_int;
    previous = c"sd_journal_previous": fn(*mut Sd) -> c_int;
    realtime = c"sd_journal_get_realtime_usec": fn(*mut Sd, *mut u64) -> c_int;
    cursor = c"sd_journal_get_cursor": fn(*mut Sd, *mut *mut c_char) -> c_int;
    data = c"sd_journal_get_data": fn(*mut Sd, *const c_char, *mut *const c_void, *mut usize) -> c_int;
    restart_data = c"sd_journal_restart_data": fn(*mut Sd);
    enumerate_data = c"sd_journal_enumerate_data": fn(*mut Sd, *mut *const c_void, *mut usize) -> c_int;
    wait = c"sd_journal_wait": fn(*mut Sd, u64) -> c_int;
    has_persistent_files = c"sd_journal_has_persistent_files": fn(*mut Sd) -> c_int;
    has_runtime_files = c"sd_journal_has_runtime_files": fn(*mut Sd) -> c_int;
}

impl Library {
    /// Loads the library of this name.
    pub(super) fn load(name: &CStr) -> Result<Self, LoadError> {
        // SAFETY: the name is a C string; what the library does as it is loaded is nothing (5).
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let handle = NonNull::new(handle).ok_or_else(|| LoadError::Missing(trouble(name)))?;
        Self::find(handle)
    }
}

/// What was wrong with the last call of the loader's on this thread.
fn trouble(name: &CStr) -> String {
    // SAFETY: a C string of the loader's or null, good until its next call on this thread.
    let text = unsafe { NonNull::new(libc::dlerror()).map(|text| CStr::from_ptr(text.as_ptr())) };
    text.map_or_else(|| name.to_string_lossy(), CStr::to_string_lossy).into_owned()
}

fn address(handle: NonNull<c_void>, name: &'static CStr) -> Result<NonNull<c_void>, LoadError> {
    // SAFETY: the handle is the loader's, and is never closed; the name is a C string.
    let found = unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) };
    NonNull::new(found).ok_or(LoadError::TooOld(name))
}

/// A reader of the journal, at one of its entries.
#[derive(Debug)]
pub(super) struct Journal {
    library: Library,
    raw: NonNull<Sd>,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // SAFETY: it was opened, and is closed only here (2).
        unsafe { (self.library.close)(self.raw.as_ptr()) }
    }
}

/// What a function returned: a number that is not negative, or an error.
fn checked(returned: c_int) -> io::Result<c_int> {
    if returned < 0 { Err(io::Error::from_raw_os_error(-returned)) } else { Ok(returned) }
}

fn c_string(text: &[u8]) -> io::Result<CString> {
    Ok(CString::new(text)?)
}

impl Journal {
    /// The files of a folder, or of the machine's own journal.
    pub(super) fn open(library: Library, folder: Option<&Path>) -> io::Result<Self> {
        let mut raw = ptr::null_mut();
        let opened = match folder {
            Some(folder) => {
                let folder = c_string(folder.as_os_str().as_encoded_bytes())?;
                // SAFETY: a place for the pointer, and a C string (3).
                unsafe { (library.open_directory)(&raw mut raw, folder.as_ptr(), 0) }
            }
            // SAFETY: a place for the pointer.
            None => unsafe { (library.open)(&raw mut raw, LOCAL_ONLY) },
        };
        checked(opened)?;
        let raw = NonNull::new(raw).ok_or_else(|| io::Error::other("no reader came"))?;
        Ok(Self { library, raw })
    }

    /// Calls a function that takes nothing but the reader.
    fn call(&mut self, function: unsafe extern "C" fn(*mut Sd) -> c_int) -> io::Result<c_int> {
        // SAFETY: the reader is open, and on its thread (2); the function is one of the library's (1).
        checked(unsafe { function(self.raw.as_ptr()) })
    }

    /// Longer fields may be cut, if they are compressed.
    pub(super) fn set_longest_field(&mut self, size: usize) -> io::Result<()> {
        // SAFETY: as in `call`.
        checked(unsafe { (self.library.set_data_threshold)(self.raw.as_ptr(), size) }).map(drop)
    }

    /// Passes over entries without this field.
    pub(super) fn add_match(&mut self, field: &str) -> io::Result<()> {
        // To the library, a length of 0 stands for that of a C string.
        if field.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (start, length) = (field.as_ptr().cast(), field.len());
        // SAFETY: as in `call`; the bytes have this length (3).
        checked(unsafe { (self.library.add_match)(self.raw.as_ptr(), start, length) }).map(drop)
    }

    /// What matches before must match, too.
    pub(super) fn add_and(&mut self) -> io::Result<()> {
        self.call(self.library.add_conjunction).map(drop)
    }

    /// What matches before may match instead.
    pub(super) fn add_or(&mut self) -> io::Result<()> {
        self.call(self.library.add_disjunction).map(drop)
    }

    /// Before the first entry.
    pub(super) fn seek_head(&mut self) -> io::Result<()> {
        self.call(self.library.seek_head).map(drop)
    }

    /// Behind the last one.
    pub(super) fn seek_tail(&mut self) -> io::Result<()> {
        self.call(self.library.seek_tail).map(drop)
    }

    /// Before the entry of this cursor, or where it was.
    pub(super) fn seek_cursor(&mut self, cursor: &str) -> io::Result<()> {
        let cursor = c_string(cursor.as_bytes())?;
        // SAFETY: as in `call`; a C string (3).
        checked(unsafe { (self.library.seek_cursor)(self.raw.as_ptr(), cursor.as_ptr()) }).map(drop)
    }

    /// Whether this entry is that of the cursor.
    pub(super) fn is_at(&mut self, cursor: &str) -> io::Result<bool> {
        let cursor = c_string(cursor.as_bytes())?;
        // SAFETY: as in `call`; a C string (3).
        let found = unsafe { (self.library.test_cursor)(self.raw.as_ptr(), cursor.as_ptr()) };
        Ok(checked(found)? > 0)
    }

    /// Goes on to the next entry; false if there is none.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        Ok(self.call(self.library.next)? > 0)
    }

    /// Goes back to the entry before; false if there is none.
    pub(super) fn previous(&mut self) -> io::Result<bool> {
        Ok(self.call(self.library.previous)? > 0)
    }

    /// When journald got this entry: microseconds since 1970.
    pub(super) fn micros(&mut self) -> io::Result<u64> {
        let mut micros = 0;
        // SAFETY: as in `call`; a place for the number.
        checked(unsafe { (self.library.realtime)(self.raw.as_ptr(), &raw mut micros) })?;
        Ok(micros)
    }

    /// Where this entry is, for another reader.
    pub(super) fn cursor(&mut self) -> io::Result<String> {
        let mut text = ptr::null_mut();
        // SAFETY: as in `call`; a place for the pointer.
        checked(unsafe { (self.library.cursor)(self.raw.as_ptr(), &raw mut text) })?;
        let text = NonNull::new(text).ok_or_else(|| io::Error::other("no cursor came"))?;
        // SAFETY: a C string that is ours (4); it is copied before it is freed, and used no more.
        let copied = unsafe {
            let copied = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
            libc::free(text.as_ptr().cast());
            copied
        };
        Ok(copied)
    }

    /// The field of this name, `NAME=value`; `None` if this entry has none.
    pub(super) fn field(&mut self, name: &CStr) -> io::Result<Option<&[u8]>> {
        let (mut start, mut length) = (ptr::null(), 0);
        let (raw, data) = (self.raw.as_ptr(), self.library.data);
        // SAFETY: as in `call`; a C string (3), places for what it gives.
        match checked(unsafe { data(raw, name.as_ptr(), &raw mut start, &raw mut length) }) {
            Ok(_) => Ok(self.lent(start, length)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins with this entry's fields.
    pub(super) fn restart_fields(&mut self) {
        // SAFETY: as in `call`.
        unsafe { (self.library.restart_data)(self.raw.as_ptr()) }
    }

    /// The next field, `NAME=value`; `None` behind the last one.
    pub(super) fn next_field(&mut self) -> io::Result<Option<&[u8]>> {
        let (mut start, mut length) = (ptr::null(), 0);
        let (raw, enumerate) = (self.raw.as_ptr(), self.library.enumerate_data);
        // SAFETY: as in `call`; places for what it gives.
        let found = checked(unsafe { enumerate(raw, &raw mut start, &raw mut length) })?;
        Ok(if found > 0 { self.lent(start, length) } else { None })
    }

    /// A field that the library lends.
    fn lent(&mut self, start: *const c_void, length: usize) -> Option<&[u8]> {
        let start = NonNull::new(start.cast_mut().cast::<u8>())?;
        // SAFETY: so many bytes of the library's, until its next call: the reader is borrowed as long (4).
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), length) })
    }

    /// Waits until there may be something new, but not longer.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<()> {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        // SAFETY: as in `call`.
        checked(unsafe { (self.library.wait)(self.raw.as_ptr(), micros) }).map(drop)
    }

    /// Whether there is any file that may be read.
    pub(super) fn has_files(&mut self) -> io::Result<bool> {
        Ok(self.call(self.library.has_persistent_files)? > 0
            || self.call(self.library.has_runtime_files)? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_or_another_one_is_told() {
        let error = Library::load(c"libnobody.so.0").unwrap_err();
        assert!(error.to_string().contains("libnobody.so.0"), "{error}");
        let error = Library::load(c"libc.so.6").unwrap_err();
        assert!(error.to_string().contains("no function sd_journal_open"), "{error}");
    }
}
