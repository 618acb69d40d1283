//! What the API says of a pod or a namespace: read from JSON that nobody has checked, and cut down to what records may need.

use std::fmt;

use flb_event::json::{self, JsonError};
use flb_event::msgpack;

/// The longest name that the API has.
const LONGEST_NAME: usize = 253;

/// The name of a pod in its namespace, or of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) pod: Option<String>,
}

impl Name {
    /// A pod's name; `None` if it cannot be one.
    pub(super) fn pod(namespace: &[u8], pod: &[u8]) -> Option<Self> {
        Some(Self { namespace: dns(namespace)?, pod: Some(dns(pod)?) })
    }

    /// A namespace's name; `None` if it cannot be one.
    pub(super) fn namespace(namespace: &[u8]) -> Option<Self> {
        Some(Self { namespace: dns(namespace)?, pod: None })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pod {
            Some(pod) => write!(f, "pod {pod} of namespace {}", self.namespace),
            None => write!(f, "namespace {}", self.namespace),
        }
    }
}

/// A text that is a name of the DNS, as all of these are, so that it may stand in a path.
fn dns(text: &[u8]) -> Option<String> {
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.first().is_some_and(is_end) && text.last().is_some_and(is_end);
    let is_one = ends && text.iter().all(|byte| is_end(byte) || b"-.".contains(byte));
    let text = String::from_utf8(text.to_vec()).ok()?;
    (is_one && text.len() <= LONGEST_NAME).then_some(text)
}

/// A value as msgpack.
type Value = Box<[u8]>;

/// A pod or a namespace.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) uid: Option<Value>,
    pub(super) labels: Option<Value>,
    pub(super) annotations: Option<Value>,
    pub(super) owner_references: Option<Value>,
    pub(super) node: Option<Value>,
    pub(super) ip: Option<Value>,
    containers: Vec<Container>,
}

/// A container, as a pod's status tells it.
#[derive(Debug, Default)]
pub(super) struct Container {
    name: Box<[u8]>,
    /// Without the runtime's name before it.
    pub(super) id: Option<Box<[u8]>>,
    /// The image's digest.
    pub(super) hash: Option<Box<[u8]>>,
    pub(super) image: Option<Box<[u8]>>,
}

/// Why an answer says nothing of any object.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the answer is no JSON: {0}")]
    NotJson(#[from] JsonError),
    #[error("the answer is of no object with a name")]
    Nameless,
}

/// Reads the object that an answer is about, or all of a list.
pub(super) fn read(text: &[u8]) -> Result<Vec<(Name, Object)>, Unreadable> {
    let mut root = Vec::with_capacity(text.len());
    json::parse_object(text, &mut root)?;
    if let Some(items) = get(&root, "items") {
        let items = msgpack::elements(items).map_err(|_| Unreadable::Nameless)?;
        return Ok(items.flatten().filter_map(one).collect());
    }
    one(&root).map(|object| vec![object]).ok_or(Unreadable::Nameless)
}

fn one(map: &[u8]) -> Option<(Name, Object)> {
    let metadata = get(map, "metadata")?;
    let text = |key: &str| msgpack::as_str(get(metadata, key)?);
    let name = match text("namespace") {
        Some(namespace) => Name::pod(namespace, text("name")?)?,
        None => Name::namespace(text("name")?)?,
    };
    Some((name, Object::of(map, metadata)))
}

impl Object {
    fn of(map: &[u8], metadata: &[u8]) -> Self {
        let value =
            |map: Option<&[u8]>, key: &str| map.and_then(|map| get(map, key)).map(Into::into);
        let (spec, status) = (get(map, "spec"), get(map, "status"));
        Self {
            uid: value(Some(metadata), "uid"),
            labels: value(Some(metadata), "labels"),
            annotations: value(Some(metadata), "annotations"),
            owner_references: value(Some(metadata), "ownerReferences"),
            node: value(spec, "nodeName"),
            ip: value(status, "podIP"),
            containers: status.map(containers).unwrap_or_default(),
        }
    }

    /// The container of this name.
    pub(super) fn container(&self, name: &[u8]) -> Option<&Container> {
        self.containers.iter().find(|container| *container.name == *name)
    }

    /// Whether it has a container with this ID.
    pub(super) fn has_id(&self, id: &[u8]) -> bool {
        self.containers.iter().any(|container| container.id.as_deref() == Some(id))
    }

    /// How many bytes it takes, more or less.
    pub(super) fn size(&self) -> usize {
        let values = [&self.uid, &self.labels, &self.annotations, &self.owner_references];
        let values = values.into_iter().chain([&self.node, &self.ip]);
        let containers = self.containers.iter().flat_map(|container| {
            let Container { name, id, hash, image } = container;
            [Some(name), id.as_ref(), hash.as_ref(), image.as_ref()]
        });
        let bytes: usize =
            values.flatten().chain(containers.flatten()).map(|bytes| bytes.len()).sum();
        bytes + size_of::<Self>() + self.containers.len() * size_of::<Container>()
    }
}

/// The containers of a status, those that run first.
fn containers(status: &[u8]) -> Vec<Container> {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let lists = lists.iter().filter_map(|key| msgpack::elements(get(status, key)?).ok());
    lists.flat_map(|list| list.flatten().filter_map(container)).collect()
}

fn container(map: &[u8]) -> Option<Container> {
    let text = |key: &str| msgpack::as_str(get(map, key)?).filter(|text| !text.is_empty());
    Some(Container {
        name: text("name")?.into(),
        id: text("containerID").and_then(digest),
        hash: text("imageID").and_then(digest),
        image: text("image").map(Into::into),
    })
}

/// What stands behind the `://` of an ID, or all of it if there is none behind its first colon. Without a colon it is none.
fn digest(id: &[u8]) -> Option<Box<[u8]>> {
    let colon = id.iter().position(|byte| *byte == b':')?;
    let slashes = id[colon + 1..].iter().take_while(|byte| **byte == b'/').count();
    let digest = if slashes > 0 { &id[colon + 1 + slashes..] } else { id };
    (!digest.is_empty()).then(|| digest.into())
}

/// The value of a map's entry.
pub(super) fn get<'m>(map: &'m [u8], key: &str) -> Option<&'m [u8]> {
    let mut entries = msgpack::entries(map).ok()?.flatten();
    entries
        .find(|(found, _)| msgpack::as_str(found) == Some(key.as_bytes()))
        .map(|(_, value)| value)
}
