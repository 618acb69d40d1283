//! What tests of network plugins share: a pipeline that remembers what it is given, in real time, and certificates.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flb_event::{Chunk, Timestamp};
use flb_plugin::keys::Table;
use flb_plugin::{BoxFuture, Closed, Context, End, Input};
use tokio::sync::watch;

use crate::json_text;
use flb_net::stream::Stream;
use flb_net::tls;

/// Longer than anything here takes, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a future on a runtime of its own with sockets and a clock; it must not hang.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it hangs") })
}

/// Runs `client` against an input and its address, then stops the input; the records that came out.
pub fn serve<I: Input, F: Future<Output = ()>>(
    input: impl FnOnce() -> (I, String),
    client: impl FnOnce(String, Desk) -> F,
) -> Vec<String> {
    block_on(async {
        let desk = Desk::default();
        let (input, address) = input();
        let client = client(address, desk.clone());
        let client = async {
            client.await;
            desk.stop();
        };
        let (end, ()) = tokio::join!(Box::new(input).run(&desk), client);
        assert_eq!(end.unwrap(), End::Quiet);
        desk.so_far()
    })
}

/// A pipeline in real time. Its clock stands at five seconds after 1970.
#[derive(Clone)]
pub struct Desk {
    batches: Arc<Mutex<Vec<Chunk>>>,
    arrivals: watch::Sender<usize>,
    stop: watch::Sender<bool>,
    /// Batches wait while this is set.
    full: watch::Sender<bool>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
            arrivals: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            full: watch::Sender::new(false),
        }
    }
}

impl Desk {
    /// Asks the input to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether batches have to wait.
    pub fn set_full(&self, full: bool) {
        self.full.send_replace(full);
    }

    /// Waits until so many records have come: tag, time, metadata if there is any, body.
    pub async fn records(&self, count: usize) -> Vec<String> {
        let mut arrivals = self.arrivals.subscribe();
        arrivals.wait_for(|records| *records >= count).await.unwrap();
        self.so_far()
    }

    /// The records so far.
    pub fn so_far(&self) -> Vec<String> {
        let mut shown = Vec::new();
        for batch in self.batches.lock().unwrap().iter() {
            for event in batch.records() {
                let Timestamp { sec, nsec } = event.time;
                let metadata = json_text(event.metadata);
                let metadata = if metadata == "{}" { String::new() } else { metadata + " " };
                let body = json_text(event.body);
                shown.push(format!("{} {sec}.{nsec:09} {metadata}{body}", batch.tag()));
            }
        }
        shown
    }
}

impl Context for Desk {
    fn now(&self) -> Timestamp {
        Timestamp { sec: 5, nsec: 0 }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn emit(&self, batch: Chunk) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            assert!(!batch.is_empty(), "an empty batch is no batch");
            let mut full = self.full.subscribe();
            full.wait_for(|full| !full).await.map_err(|_| Closed)?;
            let records = batch.len();
            self.batches.lock().unwrap().push(batch);
            self.arrivals.send_modify(|so_far| *so_far += records);
            Ok(())
        })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
        })
    }
}

/// A certificate for `localhost` and its key, in files.
pub struct Identity {
    _folder: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    /// A new one, signed by itself.
    #[expect(clippy::new_without_default, reason = "it is no small thing")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("crt.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { _folder: folder, certificate, key }
    }

    /// A connection over TLS that trusts this certificate.
    pub async fn connect(&self, address: &str) -> Stream {
        let given = [("tls", "on"), ("tls.ca_file", self.certificate())];
        let options = crate::options(Table(&[tls::KEYS, tls::CLIENT]), &given);
        let tls = crate::build_with(&options, tls::ClientTls::new).unwrap().unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        tls.connect("localhost", Box::new(stream)).await.unwrap()
    }

    /// A socket, and what shows this certificate to its clients.
    pub async fn listen(&self) -> (tokio::net::TcpListener, tls::ServerTls) {
        let given =
            [("tls", "on"), ("tls.crt_file", self.certificate()), ("tls.key_file", self.key())];
        let options = crate::options(Table(&[tls::KEYS, tls::SERVER]), &given);
        let tls = crate::build_with(&options, tls::ServerTls::new).unwrap().unwrap();
        (tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), tls)
    }

    /// A port that speaks TLS with this certificate, and passes all on to a server at another port.
    pub fn front(&self, port: u16) -> u16 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let given =
            [("tls", "on"), ("tls.crt_file", self.certificate()), ("tls.key_file", self.key())];
        let options = crate::options(Table(&[tls::KEYS, tls::SERVER]), &given);
        let tls = crate::build_with(&options, tls::ServerTls::new).unwrap().unwrap();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap().port()).unwrap();
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(mut client) = tls.accept(Box::new(client)).await else { continue };
                    let server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                    let Ok(mut server) = server else { continue };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        });
        receiver.recv().unwrap()
    }

    /// The file with the certificate.
    pub fn certificate(&self) -> &str {
        self.certificate.to_str().unwrap()
    }

    /// The file with its key.
    pub fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }
}
