//! What must hold for any answer of a server and for any tag.

use flb_event::Timestamp;
use flb_event::msgpack;

use super::describe::{Wanted, describe};
use super::object;
use super::tag::Form;

/// Everything is wanted.
const ALL: Wanted = Wanted {
    labels: true,
    annotations: true,
    owner_references: true,
    namespace_labels: true,
    namespace_annotations: true,
    pod: true,
};

/// Takes a line for a tag, and what follows it for an answer about it.
pub(crate) fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (tag, answer) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let objects = object::read(answer).unwrap_or_default();
    for (name, object) in &objects {
        assert!(object.size() <= 1000 + 400 * answer.len());
        let path = format!("{}/{}", name.namespace, name.pod.as_deref().unwrap_or_default());
        assert!(!path.contains(['%', '?', '#', ' ', '\r', '\n']) && !path.starts_with('.'));
    }
    for form in [Form::of_files(), Form::of_journal()].into_iter().flatten() {
        let Some(source) = form.read(tag, Timestamp::default()) else { continue };
        let pods = objects.iter().map(|(_, object)| Some(object)).chain([None]);
        for pod in pods.take(4) {
            let mut record = vec![0x80];
            describe(&source, &ALL, pod, pod).append_to(&mut record);
            assert_eq!(msgpack::map_len(&record), Ok(record.len()));
        }
    }
}
