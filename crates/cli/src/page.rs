//! A manual page, put together section by section.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// A manual page as far as it is written.
#[derive(Debug)]
pub struct Page {
    command: Command,
    text: Vec<u8>,
}

impl Page {
    /// A page that begins with a program's name and how it is called.
    pub fn new(mut command: Command, version: &str) -> io::Result<Self> {
        command.build();
        let name = command.get_name().to_owned();
        let mut text = Vec::new();
        let man = Man::new(command.clone())
            .title(name.to_uppercase())
            .source(format!("{name} {version}"));
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        Ok(Self { command, text })
    }

    /// Adds the program's options.
    pub fn options(mut self) -> io::Result<Self> {
        Man::new(self.command.clone()).render_options_section(&mut self.text)?;
        Ok(self)
    }

    /// Adds the program's commands, each with its options.
    pub fn commands(mut self) -> io::Result<Self> {
        Roff::new().control("SH", ["COMMANDS"]).to_writer(&mut self.text)?;
        for command in self.command.get_subcommands() {
            self.text.extend(section(command)?);
        }
        Ok(self)
    }

    /// Adds a section of paragraphs.
    pub fn paragraphs<'a>(
        mut self,
        title: &str,
        paragraphs: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Self> {
        let mut section = Roff::new();
        section.control("SH", [title]);
        for paragraph in paragraphs {
            section.control("PP", []).text([roman(paragraph)]);
        }
        section.to_writer(&mut self.text)?;
        Ok(self)
    }

    /// Adds a section that says of each name what it is.
    pub fn entries(
        mut self,
        title: &str,
        entries: impl IntoIterator<Item = (String, String)>,
    ) -> io::Result<Self> {
        let mut section = Roff::new();
        section.control("SH", [title]);
        for (name, about) in entries {
            section.control("TP", []).text([bold(name)]).text([roman(about)]);
        }
        section.to_writer(&mut self.text)?;
        Ok(self)
    }

    /// The page, for `man -l -`.
    pub fn text(self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// A command, one step below the program.
fn section(command: &Command) -> io::Result<Vec<u8>> {
    let text = |text: Option<String>| text.unwrap_or_default();
    let usage = text(command.get_overridden_usage().map(ToString::to_string));
    let about = text(command.get_about().map(ToString::to_string));
    let about = format!("{}.", about.trim_end_matches('.'));
    let mut section = Vec::new();
    Roff::new().control("SS", [usage.as_str()]).text([roman(about)]).to_writer(&mut section)?;
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options);
    section.extend(options.replace(".SH OPTIONS\n", "").into_bytes());
    Ok(section)
}
