//! `syslog`: records as messages of RFC 3164 or 5424.

mod message;
#[cfg(test)]
mod tests;

use flb_event::{Accessor, Chunk};
use flb_net::{connections, dial, tls};
use flb_plugin::keys::{Bool, Choice, Key, Many, Natural, Size, Text, Word};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{Build, BuildError, Options, Output, Spec, Table, keys};

use super::messages::{Compose, Messages, Mode, Unanswered, Way};
use message::{Field, Names, Standard, Structured, Writer};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "syslog",
    about: "Send records to a syslog server",
    options: Table(&[OWN, dial::KEYS, connections::KEYS, tls::KEYS, tls::CLIENT]),
    build: |options, build| Ok(Box::new(syslog(options, build)?)),
};

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Server").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("514");
    MODE: Choice<Mode> = Key::new("mode", "By what messages are carried").default("udp");
    FORMAT: Choice<Standard> = Key::new("syslog_format", "How messages look").default("rfc5424");
    MAXSIZE: Size =
        Key::new("syslog_maxsize", "Most bytes of a message; 0 is 1024 or 2048, by the format")
            .default("0");
    SEVERITY_KEY: Option<Text> = Key::new("syslog_severity_key", "Key with the severity");
    SEVERITY_PRESET: Natural =
        Key::new("syslog_severity_preset", "Severity where there is none, 0 to 7").default("6");
    FACILITY_KEY: Option<Text> = Key::new("syslog_facility_key", "Key with the facility");
    FACILITY_PRESET: Natural =
        Key::new("syslog_facility_preset", "Facility where there is none, 0 to 23").default("1");
    HOSTNAME_KEY: Option<Text> = Key::new("syslog_hostname_key", "Key with the host");
    HOSTNAME_PRESET: Option<Text> =
        Key::new("syslog_hostname_preset", "Host where there is none");
    APPNAME_KEY: Option<Text> = Key::new("syslog_appname_key", "Key with the application");
    APPNAME_PRESET: Option<Text> =
        Key::new("syslog_appname_preset", "Application where there is none");
    PROCID_KEY: Option<Text> = Key::new("syslog_procid_key", "Key with the process");
    PROCID_PRESET: Option<Text> = Key::new("syslog_procid_preset", "Process where there is none");
    MSGID_KEY: Option<Text> = Key::new("syslog_msgid_key", "Key with the message's kind");
    MSGID_PRESET: Option<Text> = Key::new("syslog_msgid_preset", "Kind where there is none");
    SD_KEY: Many<Text> =
        Key::new("syslog_sd_key", "Key with a map that is structured data").repeated();
    MESSAGE_KEY: Option<Text> = Key::new("syslog_message_key", "Key with the message");
    ALLOW_LONGER_SD_ID: Bool = Key::new(
        "allow_longer_sd_id",
        "Let names in structured data have more than 32 characters",
    )
    .default("off");
}

impl Word for Standard {
    const ALL: &'static [(&'static str, Self)] =
        &[("rfc5424", Self::Rfc5424), ("rfc3164", Self::Rfc3164)];
}

fn syslog(options: &Options, build: &Build<'_>) -> Result<Unanswered<Syslog>, BuildError> {
    let label = Label::output("syslog", build);
    let mode = options.get(MODE);
    let way = Way::of_mode(mode, (options.get(HOST), options.get(PORT)), options, build)?;
    if options.get(MESSAGE_KEY).is_none() {
        tracing::warn!("{label} no syslog_message_key is given, so messages have no text");
    }
    let writer = writer(options, mode)?;
    let syslog = Syslog { writer, label: label.clone(), strange: Mishaps::default() };
    Ok(Unanswered::new(way, syslog, label))
}

fn writer(options: &Options, mode: Mode) -> Result<Writer, BuildError> {
    let key = |key: Key<Option<Text>>| options.get(key).map(Accessor::of_key);
    let field = |of: Key<Option<Text>>, preset: Key<Option<Text>>| Field {
        key: key(of),
        preset: options.get(preset).unwrap_or_default().as_bytes().to_vec(),
    };
    let standard = options.get(FORMAT);
    let sd_keys = options.get(SD_KEY).into_iter().map(str::to_owned).collect();
    Ok(Writer {
        standard,
        longest: match usize::try_from(options.get(MAXSIZE)).unwrap_or(usize::MAX) {
            0 => standard.longest(),
            longest => longest,
        },
        is_line: mode != Mode::Udp,
        severity: (key(SEVERITY_KEY), code(SEVERITY_PRESET, 7, options)?),
        facility: (key(FACILITY_KEY), code(FACILITY_PRESET, 23, options)?),
        hostname: field(HOSTNAME_KEY, HOSTNAME_PRESET),
        appname: field(APPNAME_KEY, APPNAME_PRESET),
        procid: field(PROCID_KEY, PROCID_PRESET),
        msgid: field(MSGID_KEY, MSGID_PRESET),
        structured: Structured {
            keys: sd_keys,
            names: if options.get(ALLOW_LONGER_SD_ID) { Names::Long } else { Names::Short },
        },
        message: key(MESSAGE_KEY),
    })
}

/// A number from 0 to `most`.
fn code(key: Key<Natural>, most: u8, options: &Options) -> Result<u8, BuildError> {
    let given = options.get(key);
    u8::try_from(given).ok().filter(|code| *code <= most).ok_or_else(|| {
        BuildError::new(format!("{} {given} is none", key.name()))
            .help(format!("use a number from 0 to {most}"))
    })
}

struct Syslog {
    writer: Writer,
    label: Label,
    strange: Mishaps,
}

impl Compose for Syslog {
    fn compose(&self, chunk: &Chunk) -> Messages {
        Messages::of_each(chunk, |event, out| {
            if let Some(strange) = self.writer.write(event, out)
                && let Some(total) = self.strange.another()
            {
                tracing::warn!("{} {strange}; the preset is sent ({total} so far)", self.label);
            }
            Ok::<_, std::convert::Infallible>(())
        })
    }
}
