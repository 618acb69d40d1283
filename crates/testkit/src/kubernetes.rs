//! A strict stand-in for the API server of Kubernetes and for a kubelet, which no registry has: it knows the few paths that an agent
//! may ask for, and holds to the published rules of the API about each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::stub::{Reply, Request, Stub};

/// A cluster.
#[derive(Clone, Default)]
pub struct Cluster {
    /// By paths.
    objects: Arc<Mutex<BTreeMap<String, String>>>,
    token: Arc<Mutex<String>>,
}

impl Cluster {
    /// One without any pods, which takes this token.
    pub fn new(token: &str) -> Self {
        let cluster = Self::default();
        cluster.take_token(token);
        cluster
    }

    /// It takes another token from now on.
    pub fn take_token(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    /// It has this pod, which is an object of the API as JSON.
    pub fn put_pod(&self, namespace: &str, name: &str, json: &str) {
        self.put(format!("/api/v1/namespaces/{namespace}/pods/{name}"), json);
    }

    /// It has this namespace.
    pub fn put_namespace(&self, name: &str, json: &str) {
        self.put(format!("/api/v1/namespaces/{name}"), json);
    }

    fn put(&self, path: String, json: &str) {
        self.objects.lock().unwrap().insert(path, json.to_owned());
    }

    /// It has many pods, called `web-0`, `web-1` and so on, of the namespace `shop`.
    pub fn put_many(&self, count: usize) {
        for number in 0..count {
            let name = format!("web-{number}");
            self.put_pod(
                "shop",
                &name,
                &pod("shop", &name, &format!(r#"{{"app":"web","number":"{number}"}}"#)),
            );
        }
    }

    /// An API server for it.
    pub fn api_server(&self) -> Stub {
        let cluster = self.clone();
        Stub::start(move |request| cluster.checked(request, |path| cluster.object(path)))
    }

    /// The kubelet of a node that has all its pods.
    pub fn kubelet(&self) -> Stub {
        let cluster = self.clone();
        Stub::start(move |request| {
            cluster.checked(request, |path| match path {
                "/pods" => cluster.pods(),
                _ => Reply::new(404, "404 page not found\n"),
            })
        })
    }

    /// What every request must have, whatever it asks for.
    fn checked(&self, request: &Request, answer: impl FnOnce(&str) -> Reply) -> Reply {
        if request.header("host").is_none_or(str::is_empty) {
            return Reply::new(400, "400 Bad Request: missing required Host header");
        }
        if request.header("authorization")
            != Some(&format!("Bearer {}", self.token.lock().unwrap()))
        {
            return status(401, "Unauthorized", "Unauthorized");
        }
        if request.method != "GET" {
            return status(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            );
        }
        let accepts = request.header("accept").unwrap_or("*/*");
        if !accepts.split(',').any(|kind| matches!(kind.trim(), "*/*" | "application/json")) {
            return status(
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json",
            );
        }
        answer(&request.path)
    }

    fn object(&self, path: &str) -> Reply {
        let parts: Vec<&str> = path.split('/').collect();
        let names = match *parts.as_slice() {
            ["", "api", "v1", "namespaces", namespace] => vec![namespace],
            ["", "api", "v1", "namespaces", namespace, "pods", pod] => vec![namespace, pod],
            _ => {
                return status(404, "NotFound", "the server could not find the requested resource");
            }
        };
        let is_name = |name: &&str| {
            let is_one = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
            };
            !name.is_empty() && name.len() <= 253 && name.bytes().all(is_one)
        };
        if !names.iter().all(is_name) {
            return status(400, "BadRequest", "invalid name");
        }
        match self.objects.lock().unwrap().get(path) {
            Some(json) => reply(200, json),
            None => status(404, "NotFound", &format!("{} not found", names.join("/"))),
        }
    }

    fn pods(&self) -> Reply {
        let objects = self.objects.lock().unwrap();
        let pods = objects.iter().filter(|(path, _)| path.contains("/pods/"));
        let items: Vec<&str> = pods.map(|(_, json)| json.as_str()).collect();
        let items = items.join(",");
        reply(
            200,
            &format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{items}]}}"#),
        )
    }
}

/// A pod as the API tells it, of one container `nginx`, with these labels.
pub fn pod(namespace: &str, name: &str, labels: &str) -> String {
    pod_with(namespace, name, &format!(r#""labels":{labels},"annotations":{{"team":"pay"}}"#))
}

/// The same with other metadata.
pub fn pod_with(namespace: &str, name: &str, metadata: &str) -> String {
    let id = "0a1b2c3d4e5f0a1b".repeat(4);
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","generateName":"web-","namespace":"{namespace}",
"uid":"6d1e2042-8013-449c-aa93-e7238391c45f","resourceVersion":"7",{metadata},
"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1"}}]}},
"spec":{{"containers":[{{"name":"nginx","image":"nginx:1.27"}}],"nodeName":"node-1","restartPolicy":"Always"}},
"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True"}}],"containerStatuses":[
{{"name":"nginx","state":{{"running":{{"startedAt":"2026-12-01T10:00:00Z"}}}},"ready":true,"restartCount":0,"image":"docker.io/library/nginx:1.27",
"imageID":"docker.io/library/nginx@sha256:9f86d081884c7d65","containerID":"containerd://{id}"}}],"hostIP":"10.0.0.1","podIP":"10.1.2.3"}}}}"#
    )
}

fn reply(code: u16, json: &str) -> Reply {
    Reply::new(code, json).with("Content-Type: application/json")
}

/// What the API says of a failure.
fn status(code: u16, reason: &str, message: &str) -> Reply {
    reply(
        code,
        &format!(
            r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
        ),
    )
}
