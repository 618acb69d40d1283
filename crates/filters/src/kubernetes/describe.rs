//! The entries that a record gets: `kubernetes` with what is known of its pod, `kubernetes_namespace` with what is of its
//! namespace.

use super::object::Object;
use super::tag::Source;
use crate::entries::Entries;

/// What of an object goes into records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) labels: bool,
    pub(super) annotations: bool,
    pub(super) owner_references: bool,
    pub(super) namespace_labels: bool,
    pub(super) namespace_annotations: bool,
    /// Anything of the pod at all.
    pub(super) pod: bool,
}

impl Wanted {
    /// Anything of the namespace at all.
    pub(super) fn namespace(&self) -> bool {
        self.namespace_labels || self.namespace_annotations
    }
}

/// An example, which is made without any cluster.
pub(super) fn example(text: &str) -> Entries {
    let (mut inner, mut entries) = (Entries::default(), Entries::default());
    inner.add_text("dummy", Some(text.as_bytes()));
    entries.add_map("kubernetes", &inner);
    entries
}

/// What the tag says, and with it what the API says.
pub(super) fn describe(
    source: &Source,
    wanted: &Wanted,
    pod: Option<&Object>,
    namespace: Option<&Object>,
) -> Entries {
    let mut entries = Entries::default();
    if wanted.pod {
        let inner = pod.map_or_else(|| of_tag(source), |pod| of_pod(source, wanted, pod));
        entries.add_map("kubernetes", &inner);
    }
    if let Some(namespace) = namespace {
        let mut inner = Entries::default();
        inner.add_text("name", source.namespace.as_deref());
        inner.add("labels", when(wanted.namespace_labels, &namespace.labels));
        inner.add("annotations", when(wanted.namespace_annotations, &namespace.annotations));
        entries.add_map("kubernetes_namespace", &inner);
    }
    entries
}

fn of_tag(source: &Source) -> Entries {
    let mut entries = Entries::default();
    entries.add_text("pod_name", source.pod.as_deref());
    entries.add_text("namespace_name", source.namespace.as_deref());
    entries.add_text("container_name", source.container.as_deref());
    entries.add_text("docker_id", source.docker_id.as_deref());
    entries
}

fn of_pod(source: &Source, wanted: &Wanted, pod: &Object) -> Entries {
    let mut entries = Entries::default();
    entries.add_text("pod_name", source.pod.as_deref());
    entries.add_text("namespace_name", source.namespace.as_deref());
    entries.add("pod_id", pod.uid.as_deref());
    entries.add("labels", when(wanted.labels, &pod.labels));
    entries.add("annotations", when(wanted.annotations, &pod.annotations));
    entries.add("ownerReferences", when(wanted.owner_references, &pod.owner_references));
    entries.add("host", pod.node.as_deref());
    entries.add("pod_ip", pod.ip.as_deref());
    entries.add_text("container_name", source.container.as_deref());
    let container = source.container.as_deref().and_then(|name| pod.container(name));
    let id = container.and_then(|container| container.id.as_deref());
    entries.add_text("docker_id", source.docker_id.as_deref().or(id));
    let hash = container.and_then(|container| container.hash.as_deref());
    entries.add_text("container_hash", source.container_hash.as_deref().or(hash));
    entries.add_text("container_image", container.and_then(|container| container.image.as_deref()));
    entries
}

fn when(is_wanted: bool, value: &Option<Box<[u8]>>) -> Option<&[u8]> {
    value.as_deref().filter(|_| is_wanted)
}
