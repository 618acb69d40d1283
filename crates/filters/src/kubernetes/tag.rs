//! Which container a record is of: what a tag says, made of the log file's name, or the name that Docker gave a container in
//! the journal.

use std::sync::Arc;

use flb_event::{Timestamp, msgpack};
use flb_plugin::{Parser, Regex, RegexError};

use super::object::Name;

/// A label of a DNS name, of which names of pods are made.
const LABEL: &str = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";

/// A container, by what its tag says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) pod: Option<Box<[u8]>>,
    pub(super) namespace: Option<Box<[u8]>>,
    pub(super) container: Option<Box<[u8]>>,
    pub(super) docker_id: Option<Box<[u8]>>,
    pub(super) container_hash: Option<Box<[u8]>>,
}

impl Source {
    /// The pod's name, if it may be one.
    pub(super) fn pod_name(&self) -> Option<Name> {
        Name::pod(self.namespace.as_deref()?, self.pod.as_deref()?)
    }

    /// The namespace's name, if it may be one.
    pub(super) fn namespace_name(&self) -> Option<Name> {
        Name::namespace(self.namespace.as_deref()?)
    }

    /// Takes what was found under a name; the first of several.
    fn take(&mut self, name: &str, text: &[u8]) {
        let field = match name {
            "pod_name" => &mut self.pod,
            "namespace_name" => &mut self.namespace,
            "container_name" => &mut self.container,
            "docker_id" => &mut self.docker_id,
            "container_hash" => &mut self.container_hash,
            _ => return,
        };
        if field.is_none() && !text.is_empty() {
            *field = Some(text.into());
        }
    }
}

/// How a text says which container it is about.
pub(super) enum Form {
    /// By the groups of a regular expression.
    Regex(Box<Regex>),
    /// By what a parser finds.
    Parser(Arc<dyn Parser>),
}

impl Form {
    /// Names of log files: `POD_NAMESPACE_CONTAINER-ID.log`.
    pub(super) fn of_files() -> Result<Self, RegexError> {
        let pod = format!(r"(?<pod_name>{LABEL}(?:\.{LABEL})*)");
        let rest =
            r"_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$";
        Regex::new(&format!("{pod}{rest}")).map(Box::new).map(Self::Regex)
    }

    /// Names of containers in the journal: `k8s_CONTAINER.HASH_POD_NAMESPACE_UID_ATTEMPT`, the hash only sometimes.
    pub(super) fn of_journal() -> Result<Self, RegexError> {
        let container =
            r"^(?<name_prefix>[^_]+)_(?<container_name>[^\._]+)(\.(?<container_hash>[^_]+))?";
        let rest = "_(?<pod_name>[^_]+)_(?<namespace_name>[^_]+)_[^_]+_[^_]+$";
        Regex::new(&format!("{container}{rest}")).map(Box::new).map(Self::Regex)
    }

    /// What a text says, if it has the form.
    pub(super) fn read(&self, text: &[u8], now: Timestamp) -> Option<Source> {
        let mut source = Source::default();
        match self {
            Self::Regex(regex) => {
                let groups = regex.find(text).ok()??;
                for (group, name) in regex.names() {
                    source.take(name, groups.get(group).unwrap_or_default());
                }
            }
            Self::Parser(parser) => {
                let mut found = Vec::new();
                parser.parse(text, now, &mut found).ok()?;
                for (key, value) in msgpack::entries(&found).ok()?.flatten() {
                    let name = msgpack::as_str(key).and_then(|key| std::str::from_utf8(key).ok());
                    source.take(name?, msgpack::as_str(value).unwrap_or_default());
                }
            }
        }
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::NOW;

    fn shown(form: &Form, text: &str) -> String {
        let Some(source) = form.read(text.as_bytes(), NOW) else { return "-".to_owned() };
        let Source { pod, namespace, container, docker_id, container_hash } = source;
        let fields = [namespace, pod, container, docker_id, container_hash];
        let texts =
            fields.map(|field| field.map_or("-".into(), |text| text.escape_ascii().to_string()));
        texts.join(" ")
    }

    #[test]
    fn a_file_s_name_says_pod_namespace_container_and_id() {
        let (form, id) = (Form::of_files().unwrap(), "0123456789abcdef".repeat(4));
        for (text, expected) in [
            (
                format!("web-7d4b9c9f5-x2x8k_shop_nginx-{id}.log"),
                format!("shop web-7d4b9c9f5-x2x8k nginx {id} -"),
            ),
            (format!("a.b-c.d_n_s_x-y-{id}.log"), format!("n a.b-c.d s_x-y {id} -")),
            (format!("etc.web_shop_nginx-{id}.log"), format!("shop etc.web nginx {id} -")),
            (format!("Web_shop_nginx-{id}.log"), format!("shop eb nginx {id} -")),
            (format!("web_shop_nginx-{}.log", &id[1..]), "-".to_owned()),
            (format!("web_shop_nginx-{id}.log.gz"), "-".to_owned()),
            (format!("_shop_nginx-{id}.log"), "-".to_owned()),
            ("".to_owned(), "-".to_owned()),
        ] {
            assert_eq!(shown(&form, &text), expected, "{text}");
        }
    }

    #[test]
    fn a_container_in_the_journal_says_the_same_and_sometimes_a_hash() {
        let form = Form::of_journal().unwrap();
        for (text, expected) in [
            ("k8s_nginx_web-1_shop_6d1e2042-8013_0", "shop web-1 nginx - -"),
            ("k8s_nginx.b1c2_web-1_shop_6d1e2042_0", "shop web-1 nginx - b1c2"),
            ("k8s_nginx_web-1_shop", "-"),
            ("nginx", "-"),
        ] {
            assert_eq!(shown(&form, text), expected, "{text}");
        }
    }

    #[test]
    fn what_can_be_no_name_is_never_asked_for() {
        let (form, id) = (Form::of_files().unwrap(), "a".repeat(64));
        for namespace in ["..", "a/b", "A", "a b", "é", "a%2fb", "-a", &"a".repeat(300)] {
            let source = form.read(format!("web_{namespace}_c-{id}.log").as_bytes(), NOW).unwrap();
            assert_eq!((source.pod_name(), source.namespace_name()), (None, None), "{namespace}");
        }
        let source = form.read(format!("web_shop_c-{id}.log").as_bytes(), NOW).unwrap();
        assert!(source.pod_name().is_some() && source.namespace_name().is_some());
    }
}
