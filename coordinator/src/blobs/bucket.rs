//! Blobs in a bucket, an object each, by `object_store`.
//!
//! It knows what the store says, and what that means to people. It tries a request a few times within seconds and no longer:
//! what waits for minutes is [`super::ferry`]'s. Putting a blob again is harmless, and begins its age anew, so it is not
//! asked before whether it is there.

use super::http::Connector;
use super::{Error, Place, digest_of};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
};
use regatta_domain::{Digest, Time};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

/// A request is tried again so often, and for so long.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(10);

/// All tries of a request together.
const DEADLINE: Duration = Duration::from_secs(25);

/// Objects that are dropped at once: what S3 takes in one request.
pub(super) const DROPPED_AT_ONCE: usize = 1_000;

/// The name of the object that shows at the start whether the bucket can be written.
const PROBE: &str = "probe";

/// A bucket, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// How people know it.
    name: Arc<str>,
    prefix: Path,
    store: Arc<dyn ObjectStore>,
}

impl Bucket {
    /// A bucket of an S3-compatible store. `environment` says how it is reached: `AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID` and so on.
    ///
    /// # Errors
    /// When what is set up makes no sense. Nothing is asked of the store.
    pub(super) fn s3(
        bucket: &str,
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let name = Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }.to_string();
        let unfit = |why: String| Error::Unfit { store: name.clone(), why };
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            ..BackoffConfig::default()
        };
        let retry = RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR };
        let mut builder =
            AmazonS3Builder::new().with_bucket_name(bucket).with_http_connector(Connector).with_retry(retry);
        let (mut endpoint, mut allow_http) = (None, false);
        for (key, value) in environment.filter(|(key, value)| key.starts_with("AWS_") && !value.is_empty()) {
            if key == "AWS_ENDPOINT_URL" || key == "AWS_ENDPOINT_URL_S3" || key == "AWS_ENDPOINT" {
                endpoint = Some((key.clone(), value.clone()));
            }
            if key == "AWS_ALLOW_HTTP" {
                allow_http = matches!(&*value.to_ascii_lowercase(), "true" | "1" | "yes" | "on");
            }
            let lower = key.to_ascii_lowercase();
            match AmazonS3ConfigKey::from_str(&lower) {
                // The bucket is what was said, whatever else is set; HTTP was looked at.
                Ok(AmazonS3ConfigKey::Bucket | AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp)) | Err(_) => {}
                Ok(key) => builder = builder.with_config(key, value),
            }
        }
        if let Some((key, url)) = endpoint {
            match url.split_once("://") {
                Some(("https", _)) => {}
                Some(("http", _)) if allow_http => {}
                Some(("http", _)) => {
                    return Err(unfit(format!(
                        "{key} is {url}, over which everybody on the way can read and change outputs; \
                         use https, or set AWS_ALLOW_HTTP=true where that is meant"
                    )));
                }
                _ => return Err(unfit(format!("{key} is `{url}`, which is no URL with https:// or http://"))),
            }
            builder = builder.with_endpoint(url.trim_end_matches('/'));
        }
        let store = builder.with_allow_http(allow_http).build().map_err(|error| unfit(said(&error)))?;
        Ok(Self::new(&name, prefix, Arc::new(store)))
    }

    /// A bucket of any store.
    pub(super) fn new(name: &str, prefix: &str, store: Arc<dyn ObjectStore>) -> Self {
        Self { name: name.into(), prefix: Path::from(prefix), store }
    }

    /// How people know it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it can be written, read and listed.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        let place = self.prefix.clone().join(PROBE);
        let payload = PutPayload::from_static(b"Regatta keeps outputs here.\n");
        self.within(async { self.store.put(&place, payload).await.map(drop) }).await?;
        self.within(async { self.store.get(&place).await?.bytes().await.map(drop) }).await?;
        let mut under_it = self.store.list(Some(&place));
        self.within(async { under_it.next().await.transpose().map(drop) }).await
    }

    /// Keeps `content`, which has this digest.
    ///
    /// # Errors
    /// When the store refuses, or is away.
    pub(super) async fn put(&self, digest: Digest, content: Vec<u8>) -> Result<(), Error> {
        let place = self.path(digest);
        self.within(async { self.store.put(&place, PutPayload::from(content)).await.map(drop) }).await
    }

    /// The content at `digest`; `None` where there is none (any more).
    ///
    /// # Errors
    /// When the store refuses, or is away, or what it has is damaged.
    pub(super) async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        let place = self.path(digest);
        let read = self.within(async {
            match self.store.get(&place).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(object_store::Error::NotFound { source, .. }) if !names_bucket(&*source) => Ok(None),
                Err(error) => Err(error),
            }
        });
        match read.await? {
            Some(content) if digest_of(&content) == digest => Ok(Some(content.into())),
            Some(_) => Err(Error::Damaged { digest, place: format!("{}: {place}", self.name) }),
            None => Ok(None),
        }
    }

    /// Goes over what was last put before a moment, and hands the digests over, some at a time.
    ///
    /// # Errors
    /// When the store refuses, or is away.
    pub(super) async fn old<F: Future<Output = ()>>(
        &self,
        moment: Time,
        mut hand_over: impl FnMut(Vec<Digest>) -> F,
    ) -> Result<(), Error> {
        let mut objects = self.store.list(Some(&self.prefix));
        let mut old = Vec::new();
        // A page at a time is fetched as the stream is read; each has a deadline.
        while let Some(object) = self.within(async { objects.next().await.transpose() }).await? {
            let is_old = u64::try_from(object.last_modified.timestamp_micros()).is_ok_and(|put| put < moment.0);
            old.extend(self.digest(&object).filter(|_| is_old));
            if old.len() == DROPPED_AT_ONCE {
                hand_over(std::mem::take(&mut old)).await;
            }
        }
        if !old.is_empty() {
            hand_over(old).await;
        }
        Ok(())
    }

    /// Drops blobs; those that are gone already are as good.
    ///
    /// # Errors
    /// When the store refuses, or is away: some may be gone then.
    pub(super) async fn drop(&self, digests: &[Digest]) -> Result<(), Error> {
        let places: Vec<_> = digests.iter().map(|digest| Ok(self.path(*digest))).collect();
        let mut dropped = self.store.delete_stream(Box::pin(tokio_stream::iter(places)));
        loop {
            let next = self.within(async {
                match dropped.next().await {
                    None => Ok(false),
                    Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(true),
                    Some(Err(error)) => Err(error),
                }
            });
            if !next.await? {
                return Ok(());
            }
        }
    }

    /// As in a directory: by the first two digits, and by the rest.
    fn path(&self, digest: Digest) -> Path {
        let name = digest.to_string();
        self.prefix.clone().join(&name[..2]).join(&name[2..])
    }

    /// The blob that an object is; `None` where it is somebody else's.
    fn digest(&self, object: &ObjectMeta) -> Option<Digest> {
        let mut parts = object.location.prefix_match(&self.prefix)?;
        let (shelf, rest) = (parts.next()?, parts.next()?);
        let name = format!("{}{}", shelf.as_ref(), rest.as_ref());
        Digest::parse(&name).filter(|_| shelf.as_ref().len() == 2 && parts.next().is_none())
    }

    async fn within<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> Result<T, Error> {
        match timeout(DEADLINE, work).await {
            Ok(done) => done.map_err(|error| self.sorted(&error)),
            Err(_) => Err(self.away(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }

    fn away(&self, why: String) -> Error {
        Error::Away { store: self.name.to_string(), why }
    }

    /// Sorts what the store says by what somebody can do about it.
    fn sorted(&self, error: &object_store::Error) -> Error {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        let why = said(error);
        let refused = |help| Error::Refused { store: self.name.to_string(), why: why.clone(), help };
        match error {
            NotFound { .. } => refused("create the bucket, or name another one (--blobs)"),
            PermissionDenied { .. } | Unauthenticated { .. } if why.contains("RequestTimeTooSkewed") => {
                refused("set the clock of this machine")
            }
            PermissionDenied { .. } | Unauthenticated { .. } => refused(
                "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: \
                 they have to allow objects to be put, got, listed and deleted there",
            ),
            _ if why.contains("redirect") || why.contains("AuthorizationHeaderMalformed") => {
                refused("set AWS_REGION to the region of the bucket")
            }
            _ if why.contains("169.254.169.254") => refused(
                "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where the cloud gives some",
            ),
            _ => self.away(why),
        }
    }
}

/// Whether it is the bucket that was not found.
fn names_bucket(error: &(dyn std::error::Error + 'static)) -> bool {
    error.to_string().contains("NoSuchBucket")
}

/// What a store said: its own code and words where it gave some, or else the last cause.
fn said(error: &object_store::Error) -> String {
    let text = error.to_string();
    let between = |tag: &str| {
        let rest = text.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split_once(&format!("</{tag}>"))?.0.trim().to_owned())
    };
    match (between("Code"), between("Message")) {
        (Some(code), Some(message)) if !message.is_empty() => return format!("{code}: {message}"),
        (Some(code), _) => return code,
        _ => {}
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    match text.contains("169.254.169.254") && !cause.contains("169.254.169.254") {
        true => format!("{cause} (169.254.169.254)"),
        false => cause,
    }
}
