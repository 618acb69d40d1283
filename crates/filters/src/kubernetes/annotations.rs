//! What a pod wishes for its logs, by annotations: a parser, or to be left out. `fluentbit.io/parser_stdout-CONTAINER` is for one
//! stream of one container; stream and container may be left out.

use std::sync::Arc;

use flb_event::msgpack;
use flb_plugin::log::{Label, Mishaps, excerpt};
use flb_plugin::{Parser, Parsers};

use super::object::Name;

/// What annotations begin with that are for us.
const PREFIX: &str = "fluentbit.io/";

/// What pods may wish for.
pub(super) struct Allowed {
    /// The parsers that they may name, if they may.
    pub(super) parsers: Option<Parsers>,
    pub(super) exclude: bool,
    pub(super) label: Label,
    pub(super) mishaps: Mishaps,
}

/// A stream of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The stream of this name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// What is wished for a stream.
#[derive(Clone, Default)]
pub(super) struct Wish {
    parser: Option<Arc<dyn Parser>>,
    excludes: Option<bool>,
}

/// What is wished for a container's streams.
#[derive(Clone, Default)]
pub(super) struct Wishes {
    stdout: Wish,
    stderr: Wish,
}

impl Wishes {
    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .all(|wish| wish.parser.is_none() && wish.excludes.is_none())
    }

    /// Whether a record is left out. One that is of no stream is, if both are.
    pub(super) fn excludes(&self, stream: Option<Stream>) -> bool {
        match stream {
            Some(stream) => self.of(stream).excludes == Some(true),
            None => self.excludes(Some(Stream::Stdout)) && self.excludes(Some(Stream::Stderr)),
        }
    }

    /// The parser of a record's text. One that is of no stream has the parser that both have.
    pub(super) fn parser(&self, stream: Option<Stream>) -> Option<&Arc<dyn Parser>> {
        match stream {
            Some(stream) => self.of(stream).parser.as_ref(),
            None => {
                let (stdout, stderr) = (self.stdout.parser.as_ref()?, self.stderr.parser.as_ref()?);
                Arc::ptr_eq(stdout, stderr).then_some(stdout)
            }
        }
    }

    fn of(&self, stream: Stream) -> &Wish {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    fn each(&mut self, stream: Option<Stream>) -> impl Iterator<Item = &mut Wish> {
        let (stdout, stderr) = (&mut self.stdout, &mut self.stderr);
        let stdout = (stream != Some(Stream::Stderr)).then_some(stdout);
        stdout.into_iter().chain((stream != Some(Stream::Stdout)).then_some(stderr))
    }
}

/// An annotation's name, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Annotation<'a> {
    is_parser: bool,
    stream: Option<Stream>,
    container: Option<&'a str>,
}

impl<'a> Annotation<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (is_parser, rest) = match name.strip_prefix("parser") {
            Some(rest) => (true, rest),
            None => (false, name.strip_prefix("exclude")?),
        };
        let (stream, rest) = match rest.strip_prefix('_') {
            Some(rest) => (Some(Stream::named(rest.get(..6)?.as_bytes())?), &rest[6..]),
            None => (None, rest),
        };
        let container = match rest.strip_prefix('-') {
            Some(container) if !container.is_empty() => Some(container),
            None if rest.is_empty() => None,
            _ => return None,
        };
        Some(Self { is_parser, stream, container })
    }
}

impl Allowed {
    /// What the annotations of a pod wish for one of its containers. The first annotation counts, but for those that name the
    /// container: they count before all others.
    pub(super) fn wishes(
        &self,
        pod: &Name,
        annotations: &[u8],
        container: Option<&[u8]>,
    ) -> Wishes {
        let mut wishes = Wishes::default();
        for (key, value) in msgpack::entries(annotations).into_iter().flatten().flatten() {
            let key = msgpack::as_str(key).and_then(|key| std::str::from_utf8(key).ok());
            let Some(name) = key.and_then(|key| key.strip_prefix(PREFIX)) else { continue };
            let Some(annotation) = Annotation::parse(name) else {
                self.complain(pod, name, "is not known");
                continue;
            };
            if annotation.container.is_none_or(|name| Some(name.as_bytes()) == container) {
                self.grant(
                    &mut wishes,
                    pod,
                    (name, &annotation),
                    msgpack::as_str(value).unwrap_or_default(),
                );
            }
        }
        wishes
    }

    fn grant(
        &self,
        wishes: &mut Wishes,
        pod: &Name,
        (name, annotation): (&str, &Annotation<'_>),
        value: &[u8],
    ) {
        let goes_before = annotation.container.is_some();
        if annotation.is_parser {
            let Some(parsers) = &self.parsers else {
                return self.complain(pod, name, "needs K8S-Logging.Parser on");
            };
            let parser = std::str::from_utf8(value).ok().and_then(|name| parsers.find(name));
            let Some(parser) = parser else {
                let why = format!("names no parser: '{}'", excerpt(value));
                return self.complain(pod, name, &why);
            };
            for wish in wishes.each(annotation.stream) {
                if goes_before || wish.parser.is_none() {
                    wish.parser = Some(Arc::clone(parser));
                }
            }
        } else if self.exclude {
            let excludes = [b"true".as_slice(), b"on", b"yes"]
                .iter()
                .any(|yes| value.eq_ignore_ascii_case(yes));
            for wish in wishes.each(annotation.stream) {
                if goes_before || wish.excludes.is_none() {
                    wish.excludes = Some(excludes);
                }
            }
        } else {
            self.complain(pod, name, "needs K8S-Logging.Exclude on");
        }
    }

    fn complain(&self, pod: &Name, annotation: &str, why: &str) {
        if let Some(total) = self.mishaps.another() {
            let label = &self.label;
            tracing::warn!(
                "{label} {pod}: annotation '{PREFIX}{annotation}' {why} ({total} so far)"
            );
        }
    }
}
