//! What inputs that take HTTP requests have in common: HTTP/1.1 and HTTP/2 on one port, and bodies that are read within the
//! input's memory and taken apart one at a time.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flb_net::buffer::Budget;
use flb_net::places::Place;
use flb_net::server::Server;
use flb_net::stream::{Stream, within};
use flb_plugin::keys::{Bool, Choice, Key, Options, Size, Word};
use flb_plugin::{BoxFuture, Context, keys};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, join, split};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, MutexGuard};

use super::complaints::Complaint;

keys! {
    /// The options of such inputs, beside those that every server has.
    pub(crate) const KEYS;
    BUFFER_MAX_SIZE: Size =
        Key::new("buffer_max_size", "Longest body, also decompressed").default("4M");
    BUFFER_CHUNK_SIZE: Option<Size> =
        Key::new("buffer_chunk_size", "").idle("memory is taken for what has come");
    SUCCESSFUL_RESPONSE_CODE: Choice<Success> = Key::new(
        "successful_response_code",
        "Status of the answer when all is taken",
    )
    .default("201");
    HTTP2: Bool = Key::new("http2", "Speak HTTP/2, too").default("on");
}

/// The status of an answer when all is taken.
#[derive(Debug, Clone, Copy)]
struct Success(StatusCode);

impl Word for Success {
    const ALL: &'static [(&'static str, Self)] = &[
        ("200", Self(StatusCode::OK)),
        ("201", Self(StatusCode::CREATED)),
        ("204", Self(StatusCode::NO_CONTENT)),
    ];
}

/// How long a request that has begun may go on when the input shall stop.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// What is read of a connection at once; a request's head must fit.
const READ: usize = 64 * 1024;
/// Requests at once on one connection.
const STREAMS: u32 = 100;
/// What a connection of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untaken {
    /// It is above the limit.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// Its client does not go on with it.
    #[error("{0}")]
    Stalled(io::Error),
    /// It does not come whole.
    #[error("{0}")]
    Broken(hyper::Error),
    /// There is no time left for it.
    #[error("the input is stopping, try again")]
    Stopping,
    /// Those before it are not through yet.
    #[error("the pipeline is full, try again later")]
    Full,
}

impl Untaken {
    /// The status of the answer, and what it counts as.
    pub(crate) fn status(&self) -> (StatusCode, Wrong) {
        match self {
            Self::TooLong(_) => (StatusCode::PAYLOAD_TOO_LARGE, Wrong::TooLong),
            Self::Stalled(_) => (StatusCode::REQUEST_TIMEOUT, Wrong::Stalled),
            Self::Broken(_) => (StatusCode::BAD_REQUEST, Wrong::Request),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, Wrong::Stalled),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, Wrong::NotTaken),
        }
    }
}

/// What a client can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Request,
    TooLong,
    Stalled,
    Tag,
    Signal,
    NotTaken,
    Connection,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] = &[
        Self::Request,
        Self::TooLong,
        Self::Stalled,
        Self::Tag,
        Self::Signal,
        Self::NotTaken,
        Self::Connection,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Request => "a request is refused",
            Self::TooLong => "a request is above buffer_max_size and refused",
            Self::Stalled => "a request stood still and is given up",
            Self::Tag => "a tag is too long, the default is used",
            Self::Signal => "what is no log is refused",
            Self::NotTaken => "the pipeline is full, a request is refused",
            Self::Connection => "the connection broke off",
        }
    }
}

/// Takes requests in.
pub(crate) struct Intake {
    /// Longest body.
    pub(crate) limit: usize,
    /// The status of the answer when all is taken.
    pub(crate) success: StatusCode,
    /// How long a client may keep a request unfinished.
    pub(crate) patience: Duration,
    speaks_http2: bool,
    budget: Budget,
    /// Held while a body is taken apart, so that there is only one such body in memory.
    turn: Mutex<()>,
}

impl Intake {
    /// For the clients of `server`, which tells them what it speaks then.
    pub(crate) fn new(server: Server, options: &Options) -> (Server, Self) {
        let limit = usize::try_from(options.get(BUFFER_MAX_SIZE))
            .unwrap_or(usize::MAX)
            .clamp(1024, 1 << 30);
        let Success(success) = options.get(SUCCESSFUL_RESPONSE_CODE);
        let speaks_http2 = options.get(HTTP2);
        let intake = Self {
            limit,
            success,
            patience: server.patience,
            speaks_http2,
            budget: Budget::new(2 * limit),
            turn: Mutex::new(()),
        };
        let protocols: &[&str] = if speaks_http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
        (server.speaking(protocols), intake)
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve<A, B>(
        &self,
        stream: Stream,
        place: &Place,
        context: &dyn Context,
        answer: impl Fn(Request<Incoming>) -> A,
    ) -> io::Result<()>
    where
        A: Future<Output = Response<B>> + Send,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let (mut reader, writer) = split(stream);
        let head = tokio::select! {
            biased;
            () = overdue(context) => return Ok(()),
            head = within(context, self.patience, beginning(&mut reader)) => head?,
        };
        let is_http2 = self.speaks_http2 && head == PREFACE;
        let stream = TokioIo::new(join(Cursor::new(head).chain(reader), writer));
        let at_work = &AtomicUsize::new(0);
        let service = hyper::service::service_fn(|request| {
            let answer = answer(request);
            async move {
                at_work.fetch_add(1, Ordering::Relaxed);
                let answer = answer.await;
                if at_work.fetch_sub(1, Ordering::Relaxed) == 1 {
                    place.done(context.now().sec);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let (begin, begun) = unbounded_channel();
        let ended = if is_http2 {
            let mut builder = http2::Builder::new(Crew(begin));
            builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
            builder.initial_stream_window_size(READ as u32);
            builder.initial_connection_window_size(READ as u32);
            let connection = pin!(builder.serve_connection(stream, service));
            drive(connection, |it| it.graceful_shutdown(), begun, at_work, context).await
        } else {
            drop(begin);
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(self.patience).max_buf_size(READ);
            let connection = pin!(builder.serve_connection(stream, service));
            drive(connection, |it| it.graceful_shutdown(), begun, at_work, context).await
        };
        ended.map_err(io::Error::other)
    }

    /// Reads a body, with the memory that it takes: that of what has come, whatever is announced.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        incoming: Incoming,
        context: &dyn Context,
    ) -> Result<(Vec<u8>, impl Sized), Untaken> {
        let length =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > self.limit) {
            return Err(Untaken::TooLong(self.limit));
        }
        tokio::select! {
            biased;
            read = self.read_all(incoming, context) => read,
            () = overdue(context) => Err(Untaken::Stopping),
        }
    }

    async fn read_all(
        &self,
        mut incoming: Incoming,
        context: &dyn Context,
    ) -> Result<(Vec<u8>, impl Sized), Untaken> {
        let mut held = None;
        let mut body = Vec::new();
        loop {
            let frame = within(context, self.patience, async { Ok(incoming.frame().await) });
            let Some(frame) = frame.await.map_err(Untaken::Stalled)? else {
                return Ok((body, held));
            };
            let Ok(data) = frame.map_err(Untaken::Broken)?.into_data() else { continue };
            if body.len() + data.len() > self.limit {
                return Err(Untaken::TooLong(self.limit));
            }
            // A body that grows takes up to twice its length.
            let size = 2 * (body.len() + data.len());
            let more = self.budget.hold(&mut held, size, context, self.patience);
            more.await.map_err(Untaken::Stalled)?;
            body.extend_from_slice(&data);
        }
    }

    /// Waits until a body may be taken apart, but not for longer than `limit`.
    pub(crate) async fn turn(
        &self,
        context: &dyn Context,
        limit: Duration,
    ) -> Result<MutexGuard<'_, ()>, Untaken> {
        let turn = within(context, limit, async { Ok(self.turn.lock().await) });
        turn.await.map_err(|_| Untaken::Full)
    }
}

/// Completes when a request that is not whole by now holds up a stop.
async fn overdue(context: &dyn Context) {
    context.stopped().await;
    context.sleep(LAST_MOMENT).await;
}

/// Reads as much as tells whether it is the preface of HTTP/2.
async fn beginning(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(PREFACE.len());
    loop {
        let room = (PREFACE.len() - head.len()) as u64;
        let read = (&mut *stream).take(room).read_buf(&mut head).await?;
        if read == 0 || head.len() == PREFACE.len() || !PREFACE.starts_with(&head) {
            return Ok(head);
        }
    }
}

/// Takes up the requests of a connection of HTTP/2, to be worked on in the connection's own task.
#[derive(Clone)]
struct Crew<'a>(UnboundedSender<BoxFuture<'a, ()>>);

impl<'a, W: Future<Output = ()> + Send + 'a> Executor<W> for Crew<'a> {
    fn execute(&self, work: W) {
        // Nobody takes it up when the connection is at its end.
        let _ = self.0.send(Box::pin(work));
    }
}

/// Drives a connection and what it has begun. A request that has not come when the input stops does not hold up the stop.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    shut_down: fn(Pin<&mut C>),
    mut begun: UnboundedReceiver<BoxFuture<'_, ()>>,
    at_work: &AtomicUsize,
    context: &dyn Context,
) -> hyper::Result<()> {
    let mut stopping = false;
    let mut works = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = context.stopped(), if !stopping => {
                stopping = true;
                shut_down(connection.as_mut());
            }
            ended = connection.as_mut() => return ended,
            Some(work) = begun.recv() => works.push(work),
            Some(()) = works.next(), if !works.is_empty() => {}
            () = context.sleep(LAST_MOMENT), if stopping && at_work.load(Ordering::Relaxed) == 0 => {
                return Ok(());
            }
        }
    }
}
