//! Objects on their way, in a folder each, so that they survive the agent: lines that wait to be a part, and parts until all are sent.
//!
//! An object belongs to whoever holds the lock of its `about.json`, which the system takes back from who dies. Each step leaves
//! something on the disk from which the next agent goes on.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flb_files::{Access, Unfinished, make_folder, open, with_suffix};
use flb_net::packing::Packing;
use serde::{Deserialize, Serialize};

use crate::file::append_whole;

const ABOUT: &str = "about.json";
const STATE: &str = "state.json";
const INDEX: &str = "index";
/// The endings of files, behind the part's number.
const LINES: &str = "lines";
const PART: &str = "part";
/// What folders and files end in that are not whole yet.
const NEW: &str = ".new";

/// What does not change about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) tag: String,
    pub(super) key: String,
    /// What the key ends in if the object is put at once.
    pub(super) suffix: String,
    /// When it was begun, in seconds.
    pub(super) begun: i64,
    /// How its parts are compressed.
    pub(super) encoding: Option<String>,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The upload that its parts go to.
    pub(super) upload: Option<String>,
    /// Whether an upload may have been begun that nobody knows the name of.
    pub(super) may_have_strays: bool,
    /// Parts that the server has: numbers, and what it calls them. They stay here until it has the whole object.
    pub(super) sent: Vec<(u32, String)>,
    /// Whether nothing is added any more.
    pub(super) is_closed: bool,
    /// Whether the server may have put it together already.
    pub(super) may_be_complete: bool,
}

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) bytes: u64,
}

/// An object on its way.
#[derive(Debug)]
pub(super) struct Object {
    folder: PathBuf,
    /// Held as long as it is this agent's.
    _lock: File,
    pub(super) about: About,
    pub(super) state: State,
    pub(super) parts: Vec<Part>,
    /// The bytes of lines that are in no part yet.
    pub(super) lines: u64,
}

/// The folder of all objects of a bucket.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Begins an object; `number` tells apart those that are begun at once.
    pub(super) fn begin(&self, about: About, number: u64) -> io::Result<Object> {
        make_folder(&self.0)?;
        let folder = self.0.join(format!("{:012}-{}-{number:06}", about.begun, std::process::id()));
        let new = with_suffix(&folder, NEW);
        fs::create_dir(&new)?;
        let text = serde_json::to_vec(&about).map_err(io::Error::other)?;
        let lock = open(&new.join(ABOUT), Access::New).and_then(|mut file| {
            file.try_lock().map_err(io::Error::from)?;
            file.write_all(&text)?;
            Ok(file)
        });
        let lock = lock.and_then(|lock| fs::rename(&new, &folder).map(|()| lock));
        match lock {
            Ok(lock) => {
                let (state, parts) = (State::default(), Vec::new());
                Ok(Object { folder, _lock: lock, about, state, parts, lines: 0 })
            }
            Err(error) => {
                // The reason is worth more than that of the clean-up.
                let _ = fs::remove_dir_all(&new);
                Err(error)
            }
        }
    }

    /// The objects that are nobody's, oldest first: those of agents that died, or of the one before a reload. `told` is asked to tell
    /// of those that cannot be read.
    pub(super) fn adopt(&self, told: &dyn Fn(&Path, &io::Error)) -> Vec<Object> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.retain(|path| path.is_dir() && is_of_object(path));
        folders.sort();
        let found = folders.into_iter().filter_map(|folder| match Object::adopt(&folder) {
            Ok(found) => found,
            Err(error) => {
                told(&folder, &error);
                None
            }
        });
        found.collect()
    }

    /// The next number of those that this instance gives to objects.
    pub(super) fn next_index(&self, instance: &str) -> io::Result<u64> {
        make_folder(&self.0)?;
        let place = self.0.join(format!("{INDEX}.{instance}"));
        let next = match fs::read_to_string(&place) {
            Ok(text) => text.trim().parse::<u64>().map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let mut file = Unfinished::beside(&place)?;
        write!(file.file(), "{}", next + 1)?;
        file.take(&place)?;
        Ok(next)
    }
}

impl Object {
    /// Takes an object over, unless it is somebody's.
    fn adopt(folder: &Path) -> io::Result<Option<Self>> {
        let mut lock = match open(&folder.join(ABOUT), Access::Existing) {
            // What is left of one that was done.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::remove_dir(folder)?;
                return Ok(None);
            }
            opened => opened?,
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            locked => locked.map_err(io::Error::from)?,
        }
        let mut text = Vec::new();
        lock.read_to_end(&mut text)?;
        let about = serde_json::from_slice(&text).map_err(io::Error::other)?;
        let state = match fs::read(folder.join(STATE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        let folder = folder.to_owned();
        let mut object = Self { folder, _lock: lock, about, state, parts: Vec::new(), lines: 0 };
        object.look()?;
        if object.parts.is_empty() && object.lines == 0 && object.state.upload.is_none() {
            object.remove()?;
            return Ok(None);
        }
        Ok(Some(object))
    }

    /// Finds what is there of parts and lines, and clears away what a step that was cut off has left.
    fn look(&mut self) -> io::Result<()> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(NEW) {
                fs::remove_file(&path)?;
                continue;
            }
            let Some((number, ending)) = name.split_once('.') else { continue };
            let Ok(number) = number.parse::<u32>() else { continue };
            match ending {
                PART => self.parts.push(Part { number, bytes: fs::metadata(&path)?.len() }),
                LINES => lines.push((number, path)),
                _ => {}
            }
        }
        self.parts.sort_by_key(|part| part.number);
        for (number, path) in lines {
            // Lines from which a part was made go when it is whole.
            if number == self.next_part() {
                self.lines = cut_to_whole_lines(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The number of the part that lines become.
    fn next_part(&self) -> u32 {
        self.parts.last().map_or(1, |part| part.number + 1)
    }

    fn file(&self, number: u32, ending: &str) -> PathBuf {
        self.folder.join(format!("{number}.{ending}"))
    }

    /// Where a part is.
    pub(super) fn part(&self, number: u32) -> PathBuf {
        self.file(number, PART)
    }

    /// The bytes that it has on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.lines + self.size()
    }

    /// The bytes of its parts.
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// The first part that the server has not.
    pub(super) fn unsent(&self) -> Option<Part> {
        // They are sent in their order.
        self.parts.get(self.state.sent.len()).copied()
    }

    /// Appends lines: all of them or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut file = open(&self.file(self.next_part(), LINES), Access::Append)?;
        append_whole(&mut file, self.lines, lines)?;
        self.lines += lines.len() as u64;
        Ok(())
    }

    /// Makes a part of the lines there are.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        let number = self.next_part();
        let (lines, part) = (self.file(number, LINES), self.file(number, PART));
        let bytes = match packing(self.about.encoding.as_deref()) {
            Packing::Nothing => {
                fs::rename(&lines, &part)?;
                self.lines
            }
            packing => {
                let packed = packing.pack(fs::read(&lines)?);
                let mut file = Unfinished::named(with_suffix(&part, NEW))?;
                file.file().write_all(&packed)?;
                file.take(&part)?;
                fs::remove_file(&lines)?;
                packed.len() as u64
            }
        };
        self.lines = 0;
        self.parts.push(Part { number, bytes });
        Ok(())
    }

    /// Nothing is added any more.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if self.lines > 0 {
            self.seal()?;
        }
        self.state.is_closed = true;
        self.save()
    }

    /// Writes down how far it is.
    pub(super) fn save(&self) -> io::Result<()> {
        let place = self.folder.join(STATE);
        let text = serde_json::to_vec(&self.state).map_err(io::Error::other)?;
        let mut file = Unfinished::named(with_suffix(&place, NEW))?;
        file.file().write_all(&text)?;
        file.take(&place)
    }

    /// The server has a part.
    pub(super) fn sent(&mut self, part: Part, name: String) -> io::Result<()> {
        self.state.sent.push((part.number, name));
        self.save()
    }

    /// It is done. What would send it again goes first, and what says whose it is last.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()).collect();
        let rank = |path: &PathBuf| match path.file_name().and_then(|name| name.to_str()) {
            Some(ABOUT) => 2,
            Some(STATE) => 1,
            _ => 0,
        };
        files.sort_by_key(rank);
        files.iter().try_for_each(fs::remove_file)?;
        fs::remove_dir(&self.folder)
    }
}

/// Whether a folder is called as those of objects are: others keep theirs beside them.
fn is_of_object(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('-').count() == 3 && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The compression of this name.
fn packing(name: Option<&str>) -> Packing {
    let known = [Packing::Gzip, Packing::Zstd, Packing::Snappy];
    known.into_iter().find(|packing| packing.name() == name).unwrap_or(Packing::Nothing)
}

/// Takes back the beginning of a line that somebody was killed over; how long the file is.
fn cut_to_whole_lines(path: &Path) -> io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    let mut file = open(path, Access::ReadWrite)?;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut step = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut step)?;
        if let Some(at) = step.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}
