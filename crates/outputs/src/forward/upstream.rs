//! A file of several receivers, in either format: `[UPSTREAM]`, and behind it a `[NODE]` for each.

use flb_config::{
    Diagnostics, Disk, Document, FileKind, Section, SectionKind, Variables, read_file,
};
use flb_plugin::keys::{Key, Text, hide_secrets};
use flb_plugin::{Build, BuildError, Options, Table, keys};

use super::node::{self, Node};
use flb_net::options::file;
use flb_net::tls;
use flb_plugin::log::Label;

keys! {
    const OWN;
    NAME: Option<Text> = Key::new("name", "Name of the node");
}

const NODE: Table = Table(&[OWN, node::KEYS, tls::KEYS, tls::CLIENT]);

/// The receivers that a file names.
pub(super) fn nodes(
    path: &str,
    options: &Options,
    build: &Build<'_>,
) -> Result<Vec<Node>, BuildError> {
    let mut document = Document::default();
    let path = file(path, build.service);
    let mut diagnostics = read_file(&mut document, &path, FileKind::Main, &Disk);
    hide_secrets(&mut document, &|_| NODE);
    let mut read = Vec::new();
    if !diagnostics.has_errors() {
        let upstreams = document.sections_of(SectionKind::Upstream);
        for node in upstreams.flat_map(|upstream| &upstream.children) {
            read.push(read_node(node, &build.service.variables, &mut diagnostics));
        }
    }
    let shown = format!(
        "upstream {}: {}",
        path.display(),
        diagnostics.render(document.sources()).trim_end()
    );
    if diagnostics.has_errors() {
        return Err(BuildError::new(shown));
    }
    if !diagnostics.is_empty() {
        tracing::warn!("{} {shown}", Label::output("forward", build));
    }
    if read.is_empty() {
        return Err(BuildError::new(format!("upstream {}: no [NODE] in it", path.display()))
            .help("each receiver is a section [NODE] with name, host and port"));
    }
    read.iter().map(|node| Node::new(options, Some(node), build)).collect()
}

fn read_node(section: &Section, known: &Variables, diagnostics: &mut Diagnostics) -> Options {
    Options::read("upstream", NODE, section, &[], known, diagnostics)
}
