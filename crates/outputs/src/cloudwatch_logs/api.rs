//! The calls of CloudWatch Logs: to put events, and to make groups and streams for them.

use std::time::Duration;

use flb_event::{Accessor, json};
use flb_net::aws::{Call, CallError, Service};
use flb_plugin::log::Label;
use reqwest::Method;
use serde_json::json as object;

use super::batches::{Batch, Stream};

const NOT_THERE: &str = "ResourceNotFoundException";
const ALREADY_THERE: &str = "ResourceAlreadyExistsException";
/// What older servers say of events that they have.
const ALREADY_TAKEN: &str = "DataAlreadyAcceptedException";

/// The service.
pub(super) struct Api {
    pub(super) service: Service,
    pub(super) label: Label,
    /// What events are, if more than text.
    pub(super) format: Option<String>,
    /// How a group is made, if any is.
    pub(super) new_group: Option<Group>,
}

/// How a log group is made.
pub(super) struct Group {
    pub(super) class: Option<&'static str>,
    /// How long its events are kept.
    pub(super) days: Option<i64>,
}

/// Why a batch is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutError {
    #[error("{action}: {error}")]
    Call { action: &'static str, error: CallError },
    #[error("there is no such log group; make it, or set auto_create_group on")]
    NoGroup,
    #[error("PutLogEvents: the answer is none of CloudWatch's")]
    Strange,
}

impl PutError {
    /// The reason in one word.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Call { error, .. } => error.reason(),
            Self::NoGroup => NOT_THERE.to_owned(),
            Self::Strange => "answer".to_owned(),
        }
    }

    /// When to try again, if the service says so.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Call { error, .. } => error.after(),
            _ => None,
        }
    }

    /// Whether no other batch would get through.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Call { error: CallError::Refused(refusal, _), .. } => refusal.is_busy(),
            Self::Call { .. } | Self::Strange => true,
            Self::NoGroup => false,
        }
    }
}

/// Events of a batch that are not taken, by their places in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    /// Those before it are older than the group keeps any.
    expired_end: usize,
    /// Those before it are too old.
    old_end: usize,
    /// Those from it on lie in the future.
    new_start: Option<usize>,
}

impl Rejected {
    /// What an answer says; `None` if it is no answer of the service.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut object = Vec::new();
        json::parse_object(body, &mut object).ok()?;
        let Some(info) = Accessor::of_key("rejectedLogEventsInfo").find(&object) else {
            return Some(Self::default());
        };
        let index = |name: &str| {
            let mut text = Vec::new();
            flb_event::text::write(Accessor::of_key(name).find(info)?, &mut text).ok()?;
            std::str::from_utf8(&text).ok()?.parse().ok()
        };
        Some(Self {
            expired_end: index("expiredLogEventEndIndex").unwrap_or(0),
            old_end: index("tooOldLogEventEndIndex").unwrap_or(0),
            new_start: index("tooNewLogEventStartIndex"),
        })
    }

    /// The places in the chunk, and the reasons.
    pub(super) fn places<'b>(
        &'b self,
        batch: &'b Batch,
    ) -> impl Iterator<Item = (usize, &'static str)> {
        let reason = |at: usize| match self.new_start {
            _ if at < self.expired_end => Some("expired"),
            _ if at < self.old_end => Some("too_old"),
            Some(start) if at >= start => Some("too_new"),
            _ => None,
        };
        let places = batch.places.iter().enumerate();
        places.filter_map(move |(at, place)| Some((*place, reason(at)?)))
    }
}

impl Api {
    /// Puts the events of a batch. A stream that is not there is made.
    pub(super) async fn put(&self, batch: &Batch) -> Result<Rejected, PutError> {
        match self.put_once(batch).await {
            Err(PutError::Call { error, .. }) if error.code() == NOT_THERE => {
                self.make_stream(&batch.stream).await?;
                self.put_once(batch).await
            }
            answer => answer,
        }
    }

    async fn put_once(&self, batch: &Batch) -> Result<Rejected, PutError> {
        let format = self.format.iter().map(|format| ("x-amzn-logs-format", format.clone()));
        match self.call("PutLogEvents", batch.body.clone(), format).await {
            Ok(body) => Rejected::read(&body).ok_or(PutError::Strange),
            Err(PutError::Call { error, .. }) if error.code() == ALREADY_TAKEN => {
                Ok(Rejected::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a stream, and its group if that is wanted.
    async fn make_stream(&self, stream: &Stream) -> Result<(), PutError> {
        let make = || {
            let names = object!({ "logGroupName": stream.group, "logStreamName": stream.name });
            self.make("CreateLogStream", names.to_string())
        };
        let is_made = match make().await {
            Err(PutError::Call { error, .. }) if error.code() == NOT_THERE => {
                let group = self.new_group.as_ref().ok_or(PutError::NoGroup)?;
                self.make_group(&stream.group, group).await?;
                make().await?
            }
            made => made?,
        };
        if is_made {
            tracing::info!("{} log stream {stream} is made", self.label);
        }
        Ok(())
    }

    async fn make_group(&self, name: &str, group: &Group) -> Result<(), PutError> {
        let mut wanted = object!({ "logGroupName": name });
        if let Some(class) = group.class {
            wanted["logGroupClass"] = class.into();
        }
        if self.make("CreateLogGroup", wanted.to_string()).await? {
            tracing::info!("{} log group {name} is made", self.label);
        }
        if let Some(days) = group.days {
            let policy = object!({ "logGroupName": name, "retentionInDays": days });
            self.call("PutRetentionPolicy", policy.to_string().into_bytes(), []).await?;
        }
        Ok(())
    }

    /// Whether something was made, and not there before.
    async fn make(&self, action: &'static str, wanted: String) -> Result<bool, PutError> {
        match self.call(action, wanted.into_bytes(), []).await {
            Ok(_) => Ok(true),
            Err(PutError::Call { error, .. }) if error.code() == ALREADY_THERE => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The body of the answer.
    async fn call(
        &self,
        action: &'static str,
        body: Vec<u8>,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Vec<u8>, PutError> {
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{action}")),
        ];
        headers.extend(more);
        let path = "/".to_owned();
        let call = Call { method: Method::POST, path, headers, body: body.into() };
        let answer = self.service.call(&call).await;
        answer.map(|answer| answer.body).map_err(|error| PutError::Call { action, error })
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.service.fmt(f)
    }
}
