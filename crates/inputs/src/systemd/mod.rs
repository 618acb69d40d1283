//! `systemd`: the entries of the journal, which systemd's journald writes. libsystemd reads its files.

mod library;
mod position;
mod reader;
mod record;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flb_plugin::keys::{Bool, Choice, Key, Many, Natural, Options, Table, Text, Word};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{BoxFuture, Build, BuildError, Context, End, Input, InputError, Spec, keys};
use tokio::sync::mpsc::{self, Receiver};

use self::library::Library;
use self::position::Position;
use self::reader::{Batch, Settings};
use self::record::Names;
use super::shared::clock::stopped_within;

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "systemd", about: "Read the journal of systemd", options: OPTIONS, build };

keys! {
    const KEYS;
    PATH: Option<Text> =
        Key::new("path", "Folder with the journal's files (this machine's own journal)");
    SYSTEMD_FILTER: Many<Text> =
        Key::new("systemd_filter", "NAME=value that entries must have").repeated();
    SYSTEMD_FILTER_TYPE: Choice<Joined> =
        Key::new("systemd_filter_type", "Whether one filter must fit, or all").default("or");
    MAX_FIELDS: Natural = Key::new("max_fields", "Fields of an entry").default("8000");
    MAX_ENTRIES: Natural = Key::new("max_entries", "Entries to read at once").default("5000");
    READ_FROM_TAIL: Bool = Key::new("read_from_tail", "Only what comes from now on").default("off");
    LOWERCASE: Bool = Key::new("lowercase", "Names of fields in lower case").default("off");
    STRIP_UNDERSCORES: Bool =
        Key::new("strip_underscores", "Names without their first underscore").default("off");
    DB: Option<Text> = Key::new("db", "File that keeps the position in the journal");
    DB_SYNC: Option<Text> = Key::new("db.sync", "").idle("the position is always safe");
}

const OPTIONS: Table = Table(&[KEYS]);

/// How filters go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    Or,
    And,
}

impl Word for Joined {
    const ALL: &'static [(&'static str, Self)] = &[("or", Self::Or), ("and", Self::And)];
}

/// How long to wait before the journal is opened anew.
const PAUSE: Duration = Duration::from_secs(1);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(systemd(options, build, library::NAME)?))
}

fn systemd(options: &Options, build: &Build<'_>, library: &CStr) -> Result<Systemd, BuildError> {
    let label = Label::input("systemd", build);
    let library = Library::load(library).map_err(|error| {
        BuildError::new(format!("the journal cannot be read: {error}")).help(
            "install libsystemd0 (Debian, Ubuntu, openSUSE) or systemd-libs (Fedora, RHEL, Arch); a static build of the agent \
             loads no library, there the input exec can read: journalctl --follow -o json",
        )
    })?;
    let settings = settings(options, build)?;
    look(&settings, library, &label)?;
    let position = Position::new(options.get(DB).map(Path::new), build)?;
    let [failed, broken, lost, unsaved] = std::array::from_fn(|_| Mishaps::default());
    Ok(Systemd { label, settings, library, position, failed, broken, lost, unsaved })
}

fn settings(options: &Options, build: &Build<'_>) -> Result<Settings, BuildError> {
    let folder = options.get(PATH).map(PathBuf::from);
    if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(BuildError::new(format!("path {}: it is no folder", folder.display()))
            .help("give the folder with the journal's files: Path /var/log/journal"));
    }
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    Ok(Settings {
        folder,
        filters: options.get(SYSTEMD_FILTER).into_iter().map(str::to_owned).collect(),
        all_filters: options.get(SYSTEMD_FILTER_TYPE) == Joined::And,
        tag: build.tag.clone(),
        names: Names {
            lowercase: options.get(LOWERCASE),
            strip_underscores: options.get(STRIP_UNDERSCORES),
        },
        max_fields: number(options.get(MAX_FIELDS)),
        max_entries: number(options.get(MAX_ENTRIES)),
        from_tail: options.get(READ_FROM_TAIL),
    })
}

/// Opens the journal once, so that what is wrong is told at the start.
fn look(settings: &Settings, library: Library, label: &Label) -> Result<(), BuildError> {
    let mut journal = settings.open(library).map_err(|(what, error)| {
        BuildError::new(format!("{what}: {error}"))
            .help("a filter is a field's name in capitals and its value: _SYSTEMD_UNIT=ssh.service")
    })?;
    if !journal.has_files().unwrap_or(true) {
        tracing::warn!(
            "{label} there are no journal files that may be read; the agent's user needs the group systemd-journal, and a \
             container the host's /var/log/journal or /run/log/journal and /etc/machine-id"
        );
    }
    Ok(())
}

struct Systemd {
    label: Label,
    settings: Settings,
    library: Library,
    position: Position,
    failed: Mishaps,
    broken: Mishaps,
    lost: Mishaps,
    unsaved: Mishaps,
}

impl Input for Systemd {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            // Not when it is built: while a reload builds this input, the one before it still reads.
            let cursor = self.position.cursor();
            let mut cursor = cursor.map_err(|error| InputError(format!("db: {error}")))?;
            while !self.read(&mut cursor, context).await {
                if stopped_within(context, PAUSE).await {
                    break;
                }
            }
            Ok(End::Quiet)
        })
    }
}

impl Systemd {
    /// Reads on behind the cursor; true when the input shall stop, and not because reading failed.
    async fn read(&self, cursor: &mut Option<String>, context: &dyn Context) -> bool {
        let (sender, mut batches) = mpsc::channel(1);
        let (settings, library, from) = (self.settings.clone(), self.library, cursor.clone());
        let reading = tokio::task::spawn_blocking(move || {
            reader::read(&settings, library, from.as_deref(), &sender)
        });
        let is_over = self.hand_on(&mut batches, cursor, context).await;
        drop(batches);
        let failed = match reading.await {
            Ok(read) => read.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = failed
            && let Some(total) = self.failed.another()
        {
            tracing::error!(
                "{} the journal cannot be read: {error}; it is opened anew ({total} so far)",
                self.label
            );
        }
        is_over
    }

    /// Hands batches on until there are no more, or the input shall stop; whether it shall.
    async fn hand_on(
        &self,
        batches: &mut Receiver<Batch>,
        cursor: &mut Option<String>,
        context: &dyn Context,
    ) -> bool {
        loop {
            let batch = tokio::select! {
                biased;
                () = context.stopped() => return true,
                batch = batches.recv() => batch,
            };
            let Some(batch) = batch else { return false };
            for chunk in batch.chunks {
                if context.emit(chunk).await.is_err() {
                    return true;
                }
            }
            self.tell(&self.broken, batch.broken, "a field of an entry cannot be read");
            self.tell(&self.lost, batch.lost, "an entry cannot be read");
            if let Err(error) = self.position.save(&batch.cursor)
                && let Some(total) = self.unsaved.another()
            {
                tracing::error!(
                    "{} db: the position cannot be saved: {error} ({total} so far)",
                    self.label
                );
            }
            *cursor = Some(batch.cursor);
        }
    }

    fn tell(&self, mishaps: &Mishaps, count: u64, what: &str) {
        let logged = (0..count).filter_map(|_| mishaps.another()).max();
        if let Some(total) = logged {
            tracing::error!("{} {what} ({total} so far)", self.label);
        }
    }
}
