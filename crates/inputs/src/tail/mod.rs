//! `tail`: follows text files, line by line, through rotation and truncation. The system says when they change; where it does
//! not, each file is looked at a few times a second.

mod database;
mod file;
mod follow;
mod options;
mod patterns;
mod positions;
mod room;
mod settings;
mod source;
mod tag;
mod take;
#[cfg(test)]
mod tests;
mod watch;

use flb_plugin::{Build, BuildError, Input, Options, Spec, Table};

use self::follow::Tail;
use self::options::{EXCLUDE_PATH, KEY, KEYS, PARSER, PATH};
use self::patterns::Patterns;
use self::positions::Positions;
use self::settings::Settings;
use super::shared::records::{self, LineRecords};

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "tail", about: "Follow text files, line by line", options: Table(&[KEYS]), build };

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let paths = options.get(PATH).unwrap_or_default();
    let excluded = options.get(EXCLUDE_PATH).unwrap_or_default();
    if paths.is_empty() {
        return Err(BuildError::new("no input 'path' was given")
            .help("add the files to follow: Path /var/log/*.log"));
    }
    let patterns = Patterns::new(&paths, &excluded)?;
    let settings = Settings::new(options, build)?;
    let parser = records::parser(options.get(PARSER), build)?;
    let records = LineRecords::new(options.get(KEY), parser).ignore_older(settings.ignore_older);
    let paths = [paths, excluded].map(|paths| paths.join(","));
    let positions = Positions::new(build, paths, settings::database(options, build)?);
    Ok(Box::new(Tail::new(settings, patterns, records, positions)))
}
