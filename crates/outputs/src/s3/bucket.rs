//! The calls of S3 that objects are sent by.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flb_net::aws::{Call, CallError, Service, element, elements, escaped};
use md5::{Digest as _, Md5};
use reqwest::Method;

/// What the server says of an upload that is not there any more.
const GONE: &str = "NoSuchUpload";

/// A bucket.
pub(super) struct Bucket {
    pub(super) service: Service,
    pub(super) name: String,
    /// What objects are made with: headers.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Whether bodies have their digest in a header.
    pub(super) sends_md5: bool,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BucketError {
    #[error("{action}: {error}")]
    Call { action: &'static str, error: CallError },
    #[error("{action}: the answer is none of S3's")]
    Strange { action: &'static str },
    #[error("{path}: {error}")]
    Disk { path: String, error: std::io::Error },
}

impl BucketError {
    /// The reason in one word.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Call { error, .. } => error.reason(),
            Self::Strange { .. } => "answer".to_owned(),
            Self::Disk { .. } => "disk".to_owned(),
        }
    }

    /// When to try again, if the server says so.
    pub(super) fn after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Call { error, .. } => error.after(),
            _ => None,
        }
    }

    /// Whether the upload is not there any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Call { error, .. } if error.code() == GONE)
    }

    /// Whether nothing may be asked for, though the rest may be.
    pub(super) fn is_denied(&self) -> bool {
        match self {
            Self::Call { error: CallError::Refused(refusal, _), .. } => refusal.status == 403,
            _ => false,
        }
    }

    /// Whether no other object would get through.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Call { error: CallError::Refused(refusal, _), .. } => refusal.is_busy(),
            Self::Call { .. } | Self::Strange { .. } => true,
            Self::Disk { .. } => false,
        }
    }
}

impl Bucket {
    /// Puts a whole object.
    pub(super) async fn put(
        &self,
        key: &str,
        encoding: Option<&str>,
        body: Bytes,
    ) -> Result<(), BucketError> {
        let mut headers = self.of_object(encoding);
        headers.extend(self.digest(&body));
        self.call("PutObject", Method::PUT, self.path(key), headers, body).await.map(drop)
    }

    /// Begins an upload; what it is called.
    pub(super) async fn begin(
        &self,
        key: &str,
        encoding: Option<&str>,
    ) -> Result<String, BucketError> {
        let (action, path) = ("CreateMultipartUpload", format!("{}?uploads=", self.path(key)));
        let headers = self.of_object(encoding);
        let answer = self.call(action, Method::POST, path, headers, Bytes::new()).await?;
        let upload = element(&text(&answer.body), "UploadId").filter(|name| !name.is_empty());
        upload.ok_or(BucketError::Strange { action })
    }

    /// Sends a part; what the server calls it.
    pub(super) async fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
    ) -> Result<String, BucketError> {
        let action = "UploadPart";
        let upload = escaped(upload, "");
        let path = format!("{}?partNumber={number}&uploadId={upload}", self.path(key));
        let headers = self.digest(&body).into_iter().collect();
        let answer = self.call(action, Method::PUT, path, headers, body).await?;
        let name = answer.headers.get("etag").and_then(|name| name.to_str().ok());
        name.map(str::to_owned).ok_or(BucketError::Strange { action })
    }

    /// Has the server put an object together of its parts.
    pub(super) async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[(u32, String)],
    ) -> Result<(), BucketError> {
        let action = "CompleteMultipartUpload";
        let path = format!("{}?uploadId={}", self.path(key), escaped(upload, ""));
        let part = |(number, name): &(u32, String)| {
            let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{name}</ETag></Part>")
        };
        let parts: String = parts.iter().map(part).collect();
        let space = "http://s3.amazonaws.com/doc/2006-03-01/";
        let body =
            format!("<CompleteMultipartUpload xmlns=\"{space}\">{parts}</CompleteMultipartUpload>");
        let headers = vec![("content-type", "application/xml".to_owned())];
        let answer = self.call(action, Method::POST, path, headers, body.into()).await?;
        // It begins to answer before it is done, so that an error may follow a status that says otherwise.
        match text(&answer.body).contains("<CompleteMultipartUploadResult") {
            true => Ok(()),
            false => Err(BucketError::Strange { action }),
        }
    }

    /// Whether there is an object.
    pub(super) async fn has(&self, key: &str) -> Result<bool, BucketError> {
        let (headers, none) = (Vec::new(), Bytes::new());
        match self.call("HeadObject", Method::HEAD, self.path(key), headers, none).await {
            Ok(_) => Ok(true),
            Err(BucketError::Call { error: CallError::Refused(refusal, _), .. })
                if refusal.status == 404 =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives up the uploads of a key that were begun and that nobody knows the names of.
    pub(super) async fn sweep(&self, key: &str) -> Result<(), BucketError> {
        let (headers, none) = (Vec::new(), Bytes::new());
        let path = format!("/{}?prefix={}&uploads=", escaped(&self.name, ""), escaped(key, ""));
        let answer = self.call("ListMultipartUploads", Method::GET, path, headers, none).await?;
        let answer = text(&answer.body);
        for upload in elements(&answer, "Upload") {
            let names = (element(upload, "Key"), element(upload, "UploadId"));
            if let (Some(found), Some(upload)) = names
                && found == key
            {
                self.abort(key, &upload).await?;
            }
        }
        Ok(())
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), BucketError> {
        let path = format!("{}?uploadId={}", self.path(key), escaped(upload, ""));
        let (headers, none) = (Vec::new(), Bytes::new());
        match self.call("AbortMultipartUpload", Method::DELETE, path, headers, none).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, key: &str) -> String {
        format!("/{}/{}", escaped(&self.name, ""), escaped(key, "/"))
    }

    fn of_object(&self, encoding: Option<&str>) -> Vec<(&'static str, String)> {
        let encoding = encoding.map(|encoding| ("content-encoding", encoding.to_owned()));
        self.headers.iter().cloned().chain(encoding).collect()
    }

    fn digest(&self, body: &[u8]) -> Option<(&'static str, String)> {
        self.sends_md5.then(|| ("content-md5", STANDARD.encode(Md5::digest(body))))
    }

    async fn call(
        &self,
        action: &'static str,
        method: Method,
        path: String,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<flb_net::api_client::ApiAnswer, BucketError> {
        let answer = self.service.call(&Call { method, path, headers, body }).await;
        answer.map_err(|error| BucketError::Call { action, error })
    }
}

fn text(body: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body)
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}
