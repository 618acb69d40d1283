//! The options of `s3`, and what is made of them.

use std::path::Path;

use flb_net::aws::{self, Clock, Service, escaped};
use flb_net::packing::Packing;
use flb_net::{dial, tls};
use flb_plugin::keys::{Bool, Choice, Int, Key, Required, Size, Text, Time, Word};
use flb_plugin::{Build, BuildError, Options, Table, keys};

use super::bucket::Bucket;
use super::desk::{Plan, SMALLEST};
use super::key::KeyFormat;
use super::lines::Lines;
use crate::accessors::path_or_name;
use crate::date::DateFormat;
use crate::json::{RecordJson, json_options};

/// The largest parts, objects, and objects that are put at once.
const LARGEST_PART: u64 = 50_000_000;
const LARGEST_OBJECT: u64 = 50_000_000_000;
const LARGEST_PUT: u64 = 1_000_000_000;
const SMALLEST_OBJECT: u64 = 1_000_000;

keys! {
    const OWN;
    BUCKET: Required<Text> =
        Key::new("bucket", "Bucket").required("no 'bucket' was given", "add bucket my-logs");
    REGION: Text = Key::new("region", "Region of AWS").default("us-east-1");
    TOTAL_FILE_SIZE: Size = Key::new("total_file_size", "From how many bytes on an object is complete").default("100000000");
    UPLOAD_CHUNK_SIZE: Size = Key::new("upload_chunk_size", "How many bytes are sent at once").default("5242880");
    UPLOAD_TIMEOUT: Time = Key::new("upload_timeout", "How long an object may take").default("10m");
    USE_PUT_OBJECT: Bool = Key::new("use_put_object", "Send each object at once").default("off");
    STORE_DIR: Text = Key::new("store_dir", "Folder of what waits to be sent").default("/tmp/fluent-bit/s3");
    STORE_DIR_LIMIT_SIZE: Size =
        Key::new("store_dir_limit_size", "The most bytes that wait there; 0 is without a limit").default("0");
    S3_KEY_FORMAT: Text = Key::new("s3_key_format", "Keys: $TAG, $TAG[n], $UUID, $INDEX, and %Y and the like")
        .default("/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S");
    S3_KEY_FORMAT_TAG_DELIMITERS: Text =
        Key::new("s3_key_format_tag_delimiters", "What $TAG[n] splits tags at").default(".");
    STATIC_FILE_PATH: Bool =
        Key::new("static_file_path", "Add nothing to keys to tell them apart").default("off");
    FORMAT: Choice<Format> = Key::new("format", "How records look").default("json_lines");
    JSON_DATE_KEY: Text =
        Key::new("json_date_key", "Key of the time in JSON; false for no time").default("date");
    JSON_DATE_FORMAT: Choice<DateFormat> =
        Key::new("json_date_format", "How the time is written in JSON").default("iso8601");
    LOG_KEY: Option<Text> = Key::new("log_key", "Only the value of this key is kept");
    COMPRESSION: Choice<Compression> = Key::new("compression", "Compression").default("none");
    CONTENT_TYPE: Option<Text> = Key::new("content_type", "Type that objects have");
    CANNED_ACL: Option<Text> = Key::new("canned_acl", "Who may read objects: private, ..");
    STORAGE_CLASS: Option<Text> = Key::new("storage_class", "Class of storage: STANDARD_IA, ..");
    SEND_CONTENT_MD5: Bool =
        Key::new("send_content_md5", "Send digests, as buckets with locks want them").default("off");
    PRESERVE_DATA_ORDERING: Option<Bool> = Key::new("preserve_data_ordering", "").idle(ORDER);
    RETRY_EXHAUSTED_ACTION: Option<Text> = Key::new("retry_exhausted_action", "").idle(KEPT);
    QUARANTINE_DIR_LIMIT_SIZE: Option<Size> = Key::new("quarantine_dir_limit_size", "").idle(KEPT);
    BLOB_DATABASE_FILE: Option<Text> = Key::new("blob_database_file", "").inert(BLOBS);
    PART_SIZE: Option<Size> = Key::new("part_size", "").idle(BLOBS);
    FILE_DELIVERY_ATTEMPT_LIMIT: Option<Int> = Key::new("file_delivery_attempt_limit", "").idle(BLOBS);
    PART_DELIVERY_ATTEMPT_LIMIT: Option<Int> = Key::new("part_delivery_attempt_limit", "").idle(BLOBS);
    UPLOAD_PARTS_TIMEOUT: Option<Text> = Key::new("upload_parts_timeout", "").idle(BLOBS);
    UPLOAD_PART_FRESHNESS_LIMIT: Option<Text> = Key::new("upload_part_freshness_limit", "").idle(BLOBS);
    AUTHORIZATION_ENDPOINT: Option<Text> = Key::new("authorization_endpoint_*", "")
        .refused("URLs that somebody else signs are not asked for", "let the agent sign: docs/aws.md");
}

const ORDER: &str = "what a tag brings is always kept in order";
const KEPT: &str = "what is not uploaded is kept in store_dir, and tried until it is";
const BLOBS: &str = "no input here makes blobs";

pub(super) const OPTIONS: Table = Table(&[OWN, aws::KEYS, tls::FILES, tls::CLIENT, dial::KEYS]);

/// How records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    Columns,
    Otlp,
}

impl Word for Format {
    const ALL: &'static [(&'static str, Self)] = &[
        ("json_lines", Self::JsonLines),
        ("json", Self::JsonLines),
        ("parquet", Self::Columns),
        ("arrow", Self::Columns),
        ("otlp_json", Self::Otlp),
        ("otlp_json_pretty", Self::Otlp),
    ];
}

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Packed(Packing),
    Columns,
}

impl Word for Compression {
    const ALL: &'static [(&'static str, Self)] = &[
        ("none", Self::Packed(Packing::Nothing)),
        ("gzip", Self::Packed(Packing::Gzip)),
        ("zstd", Self::Packed(Packing::Zstd)),
        ("snappy", Self::Packed(Packing::Snappy)),
        ("arrow", Self::Columns),
        ("parquet", Self::Columns),
    ];
}

fn columns() -> BuildError {
    BuildError::new("columns, as in parquet and arrow, are not written here")
        .help("use json_lines, with compression gzip or zstd, and convert the objects where they are read")
}

fn packing(options: &Options) -> Result<Packing, BuildError> {
    match (options.get(FORMAT), options.get(COMPRESSION)) {
        (Format::JsonLines, Compression::Packed(packing)) => Ok(packing),
        (Format::Otlp, _) => Err(BuildError::new("format otlp_json is not written here")
            .help("use json_lines, or send with the output opentelemetry")),
        _ => Err(columns()),
    }
}

/// How objects are made.
pub(super) fn plan(options: &Options, build: &Build<'_>) -> Result<Plan, BuildError> {
    let object = options.get(TOTAL_FILE_SIZE);
    if !(SMALLEST_OBJECT..=LARGEST_OBJECT).contains(&object) {
        return Err(BuildError::new(format!("total_file_size is {object}"))
            .help("an object has between 1 MB and 50 GB"));
    }
    let limit = options.get(STORE_DIR_LIMIT_SIZE);
    let timeout = options.get(UPLOAD_TIMEOUT).as_secs().max(1);
    Ok(Plan {
        key: KeyFormat::parse(
            S3_KEY_FORMAT,
            options.get(S3_KEY_FORMAT),
            options.get(S3_KEY_FORMAT_TAG_DELIMITERS),
            options.get(STATIC_FILE_PATH),
        )?,
        packing: packing(options)?,
        part: part_size(options, object)?,
        object,
        timeout: i64::try_from(timeout).unwrap_or(i64::MAX / 2),
        limit: (limit > 0).then_some(limit),
        instance: escaped(build.instance, ""),
    })
}

/// From how many bytes on something is sent. Small objects, and those that are asked for so, are sent at once.
fn part_size(options: &Options, object: u64) -> Result<u64, BuildError> {
    if options.get(USE_PUT_OBJECT) || object < 2 * SMALLEST {
        return match object <= LARGEST_PUT {
            true => Ok(object),
            false => {
                Err(BuildError::new(format!("total_file_size is {object}, with use_put_object"))
                    .help("an object that is sent at once has at most 1 GB"))
            }
        };
    }
    let part = options.get(UPLOAD_CHUNK_SIZE);
    if !(SMALLEST..=LARGEST_PART).contains(&part) {
        return Err(BuildError::new(format!("upload_chunk_size is {part}"))
            .help("a part has between 5 MiB and 50 MB"));
    }
    if part * 2 > object {
        return Err(BuildError::new("total_file_size is less than two of upload_chunk_size")
            .help("use use_put_object on, or smaller parts"));
    }
    Ok(part)
}

/// Where what waits is.
pub(super) fn folder(options: &Options) -> Result<std::path::PathBuf, BuildError> {
    Ok(Path::new(options.get(STORE_DIR)).join(bucket_name(options)?))
}

fn bucket_name(options: &Options) -> Result<&str, BuildError> {
    let name = options.get(BUCKET)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let is_name = name.bytes().all(is_plain) && !name.starts_with('.');
    is_name.then_some(name).ok_or_else(|| {
        BuildError::new(format!("bucket '{name}' is no name of a bucket"))
            .help("write its name alone, without s3://")
    })
}

/// Who is told.
pub(super) fn bucket(
    options: &Options,
    build: &Build<'_>,
    clock: Clock,
) -> Result<Bucket, BuildError> {
    let region = options.get(REGION);
    let header = |name, key: Key<Option<Text>>| Some((name, options.get(key)?.to_owned()));
    let headers = [
        header("content-type", CONTENT_TYPE),
        header("x-amz-acl", CANNED_ACL),
        header("x-amz-storage-class", STORAGE_CLASS),
    ];
    let headers: Vec<_> = headers.into_iter().flatten().collect();
    if let Some((name, value)) = headers.iter().find(|(_, value)| !value.is_ascii()) {
        return Err(BuildError::new(format!("{name} '{value}' may not stand in a header"))
            .help("use plain letters"));
    }
    Ok(Bucket {
        service: Service::new("s3", region, None, None, options, build, clock)?,
        name: bucket_name(options)?.to_owned(),
        headers,
        sends_md5: options.get(SEND_CONTENT_MD5),
    })
}

/// How records become lines.
pub(super) fn lines(options: &Options, build: &Build<'_>) -> Result<Lines, BuildError> {
    let key = options.get(LOG_KEY).map(|text| path_or_name(LOG_KEY.name(), text)).transpose()?;
    Ok(match key {
        Some(key) => Lines::OfKey(key, json_options(build)),
        None => Lines::Whole(RecordJson::dated(
            options.get(JSON_DATE_KEY),
            options.get(JSON_DATE_FORMAT),
            build,
        )),
    })
}
