//! Asks the API server, the kubelet, or a folder of files that stands in for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flb_event::Timestamp;
use flb_net::api_client::{Address, ApiAnswer, ApiClient, ApiError, Bounds};
use flb_net::background::printed_by;
use flb_net::tls::{ClientTls, Trust};
use flb_plugin::log::{Label, Mishaps, excerpt};

use super::object::{self, Name, Object};
use super::options::{Access, TokenSource};

/// So many times longer than somebody waits for an answer it may take, for whoever asks next.
const TIMES: u32 = 5;

/// How long a command for a token may take, and the most bytes of what it prints.
const COMMAND: Duration = Duration::from_secs(10);
const LONGEST_TOKEN: usize = 1 << 20;

/// What questions go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Api,
    Kubelet,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Api => "the API server",
            Self::Kubelet => "the kubelet",
        })
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// In one word.
    pub(super) word: &'static str,
    pub(super) text: String,
    /// What to do about it.
    pub(super) help: Option<&'static str>,
    /// When to ask again, if the server says.
    pub(super) after: Option<Duration>,
    /// Whether only what was asked for is concerned, and not the server.
    pub(super) is_objects: bool,
}

impl Failure {
    fn of(word: &'static str, text: String) -> Self {
        Self { word, text, help: None, after: None, is_objects: false }
    }
}

/// What came of a question.
pub(super) type Outcome = Result<Vec<(Name, Object)>, Failure>;

/// Asks.
pub(super) struct Client {
    label: Label,
    api: Endpoint,
    kubelet: Option<Endpoint>,
    token: TokenSource,
    /// How long a token is used, in seconds.
    token_life: u64,
    read: Mutex<Option<Token>>,
    without_token: Mishaps,
    folder: Option<PathBuf>,
}

#[derive(Clone)]
struct Token {
    /// What the header says.
    bearer: Arc<str>,
    since: Timestamp,
}

impl Client {
    /// One that asks with as much patience as those who wait for answers.
    pub(super) fn new(label: Label, access: Access, patience: Duration) -> Self {
        let Access { api, kubelet, trust, most, token, token_life, folder, .. } = access;
        let bounds = Bounds { connect: patience, whole: patience * TIMES, bytes: most };
        Self {
            label,
            kubelet: kubelet.map(|address| Endpoint::new(address, trust.clone(), bounds)),
            api: Endpoint::new(api, trust, bounds),
            token,
            token_life: token_life.as_secs(),
            read: Mutex::new(None),
            without_token: Mishaps::default(),
            folder,
        }
    }

    /// Whom to ask for an object.
    pub(super) fn server_of(&self, name: &Name) -> Server {
        match self.kubelet {
            Some(_) if name.pod.is_some() => Server::Kubelet,
            _ => Server::Api,
        }
    }

    /// Where a server is.
    pub(super) fn address(&self, server: Server) -> &Address {
        &self.endpoint(server).address
    }

    fn endpoint(&self, server: Server) -> &Endpoint {
        match server {
            Server::Kubelet => self.kubelet.as_ref().unwrap_or(&self.api),
            Server::Api => &self.api,
        }
    }

    /// The object of this name, if there is one; and whatever else the server tells with it.
    pub(super) async fn ask(&self, name: &Name, now: Timestamp) -> Outcome {
        if let Some(found) = self.folder.as_deref().and_then(|folder| preloaded(folder, name)) {
            return found;
        }
        let server = self.server_of(name);
        let answer = self.answer(server, name, now).await.map_err(|failure| Failure {
            is_objects: failure.is_objects && server == Server::Api,
            ..failure
        })?;
        match (answer.status, server) {
            (200, _) => objects(server, name, &answer.body),
            (404, Server::Api) => Ok(Vec::new()),
            _ => Err(refused(&answer)),
        }
    }

    /// The server's answer, with a newer token if it does not like the one that there is.
    async fn answer(
        &self,
        server: Server,
        name: &Name,
        now: Timestamp,
    ) -> Result<ApiAnswer, Failure> {
        let (endpoint, path) = (self.endpoint(server), path(server, name));
        let token = self.token(now, false).await;
        let answer = endpoint.get(&path, token.as_deref()).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        match self.token(now, true).await {
            newer if newer == token => Ok(answer),
            newer => endpoint.get(&path, newer.as_deref()).await,
        }
    }

    /// The token that there is, read again when it is old or `renew` says so.
    async fn token(&self, now: Timestamp, renew: bool) -> Option<Arc<str>> {
        let is_good = |token: &Token| {
            !renew && u64::from(now.sec.saturating_sub(token.since.sec)) < self.token_life
        };
        if let Some(token) = lock(&self.read).as_ref().filter(|token| is_good(token)) {
            return Some(Arc::clone(&token.bearer));
        }
        let bearer: Option<Arc<str>> = self.read_token().await.map(Into::into);
        *lock(&self.read) = bearer.clone().map(|bearer| Token { bearer, since: now });
        bearer
    }

    async fn read_token(&self) -> Option<String> {
        let read = match &self.token {
            TokenSource::File(path) => {
                std::fs::read(path).map_err(|error| (path.display().to_string(), error))
            }
            TokenSource::Command(command) => {
                let printed = printed_by(command, COMMAND, LONGEST_TOKEN).await;
                printed.map_err(|error| ("kube_token_command".to_owned(), error))
            }
        };
        let why = match read {
            Ok(text) => match std::str::from_utf8(text.trim_ascii()) {
                Ok(token) if !token.is_empty() => return Some(format!("Bearer {token}")),
                _ => "there is no token in what was read".to_owned(),
            },
            Err((place, error)) => format!("{place}: {error}"),
        };
        if let Some(total) = self.without_token.another() {
            let label = &self.label;
            tracing::warn!("{label} no token, so the API is asked without: {why} ({total} so far)");
        }
        None
    }
}

/// A server, and the client for it while it is good.
struct Endpoint {
    address: Address,
    trust: Trust,
    bounds: Bounds,
    client: Mutex<Option<Arc<ApiClient>>>,
}

impl Endpoint {
    fn new(address: Address, trust: Trust, bounds: Bounds) -> Self {
        Self { address, trust, bounds, client: Mutex::new(None) }
    }

    /// Asks for a path. After a failure the next question goes by a new client, since the authorities may be others by then.
    async fn get(&self, path: &str, token: Option<&str>) -> Result<ApiAnswer, Failure> {
        let client = self.client()?;
        let headers: Vec<(&str, &str)> = [("Accept", "application/json")]
            .into_iter()
            .chain(token.map(|token| ("Authorization", token)))
            .collect();
        client.get(path, &headers).await.map_err(|error| {
            *lock(&self.client) = None;
            let is_objects = matches!(error, ApiError::TooLarge(_));
            Failure { is_objects, ..Failure::of(error.word(), error.to_string()) }
        })
    }

    fn client(&self) -> Result<Arc<ApiClient>, Failure> {
        let mut client = lock(&self.client);
        if let Some(client) = &*client {
            return Ok(Arc::clone(client));
        }
        let tls = self.address.is_tls.then(|| ClientTls::trusting(&self.trust)).transpose();
        let tls = tls.map_err(|error| Failure {
            help: Some(
                "in a pod the file is mounted with its service account; elsewhere say Kube_CA_File",
            ),
            ..Failure::of("tls", error.message)
        })?;
        let made = ApiClient::new(&self.address, tls.as_ref(), self.bounds);
        let made = made.map_err(|error| Failure::of(error.word(), error.to_string()))?;
        Ok(Arc::clone(client.insert(Arc::new(made))))
    }
}

fn path(server: Server, name: &Name) -> String {
    let namespace = &name.namespace;
    match (server, &name.pod) {
        (Server::Kubelet, _) => "/pods".to_owned(),
        (Server::Api, Some(pod)) => format!("/api/v1/namespaces/{namespace}/pods/{pod}"),
        (Server::Api, None) => format!("/api/v1/namespaces/{namespace}"),
    }
}

/// What an answer is about. The API server's is about what it was asked for, or it is none.
fn objects(server: Server, name: &Name, body: &[u8]) -> Outcome {
    let is_objects = server == Server::Api;
    let found = object::read(body)
        .map_err(|error| Failure { is_objects, ..Failure::of("answer", error.to_string()) })?;
    match found.first() {
        Some((other, _)) if is_objects && other != name => {
            let text = format!("the answer for {name} is about {other}");
            Err(Failure { is_objects, ..Failure::of("answer", text) })
        }
        _ => Ok(found),
    }
}

/// What a file says in a server's stead, whatever name it says inside.
fn preloaded(folder: &Path, name: &Name) -> Option<Outcome> {
    let Name { namespace, pod } = name;
    let file = match pod {
        Some(pod) => format!("{namespace}_{pod}.meta"),
        None => format!("{namespace}.namespace_meta"),
    };
    let text = std::fs::read(folder.join(&file)).ok()?;
    let failed = |error: object::Unreadable| Failure {
        is_objects: true,
        ..Failure::of("answer", format!("{file}: {error}"))
    };
    Some(object::read(&text).map_err(failed).map(|mut found| {
        if let [(only, _)] = &mut *found {
            name.clone_into(only);
        }
        found
    }))
}

fn refused(answer: &ApiAnswer) -> Failure {
    let status = answer.status;
    let text = format!("HTTP status={status} {}", excerpt(&answer.body));
    let help = match status {
        401 => Some("check Kube_Token_File: the server does not take the token in it"),
        403 => Some(
            "grant the service account to get pods and namespaces, and nodes/proxy for Use_Kubelet",
        ),
        300..=399 => Some("redirects are not followed: give Kube_URL the server's own address"),
        _ => None,
    };
    let word = match status {
        401 | 403 => "denied",
        429 => "too_many_requests",
        _ => "status",
    };
    Failure { help, after: answer.after, ..Failure::of(word, text.trim_end().to_owned()) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
