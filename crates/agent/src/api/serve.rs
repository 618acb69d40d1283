//! Connections to the HTTP server: so many at a time, none for long without a request, and none after the end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use flb_pipeline::Stop;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::guard;

/// How long a request's head may take, and how long a connection may be idle between two.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept for further requests.
const LIFE: Duration = Duration::from_secs(60);
/// How long a connection may take to come to its end.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// What is read of a connection at once; a request's head must fit.
const READ: usize = 16 * 1024;
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// A connection at work.
struct Guest {
    task: AbortHandle,
    is_answering: Arc<AtomicBool>,
}

/// Answers by `router` until `end`, over at most `most` connections at a time. Then nobody listens any more, and requests
/// that are whole are answered.
pub(super) async fn serve(listener: TcpListener, router: Router, most: usize, end: &Stop) {
    let mut guests: VecDeque<Guest> = VecDeque::new();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = end.asked() => break,
            Some(_) = tasks.join_next() => guests.retain(|guest| !guest.task.is_finished()),
            stream = accept(&listener) => {
                if guests.len() >= most && !turn_out(&mut guests) {
                    continue;
                }
                let is_answering = Arc::<AtomicBool>::default();
                let talk = talk(stream, router.clone(), Arc::clone(&is_answering), end.clone());
                guests.push_back(Guest { task: tasks.spawn(talk), is_answering });
            }
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Ends the oldest connection that waits for its client. Whether there was one.
fn turn_out(guests: &mut VecDeque<Guest>) -> bool {
    let waits = |guest: &Guest| !guest.is_answering.load(Ordering::Relaxed);
    let Some(oldest) = guests.iter().position(waits) else { return false };
    if let Some(guest) = guests.remove(oldest) {
        guest.task.abort();
    }
    true
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!("[http_server] cannot accept a connection: {error}");
                sleep(NO_ROOM).await;
            }
        }
    }
}

/// Answers on one connection.
async fn talk(stream: TcpStream, router: Router, is_answering: Arc<AtomicBool>, end: Stop) {
    let router = TowerToHyperService::new(router);
    let busy = &*is_answering;
    let service = service_fn(|request: Request<Incoming>| {
        busy.store(true, Ordering::Relaxed);
        let answer = router.call(request);
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            busy.store(false, Ordering::Relaxed);
            answer.map(guard::secured)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(READ);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How it ended is the client's business.
        _ = connection.as_mut() => return,
        () = end.asked() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = sleep(LAST_MOMENT) => {}
        }
        if !busy.load(Ordering::Relaxed) {
            return;
        }
    }
}
