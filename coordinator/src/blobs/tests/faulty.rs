//! A store in memory that fails as it is told to.

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_stream::Stream;

type Many<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Nobody answers the door.
    Away,
    /// Connections stand, and nothing comes.
    Silent,
    /// It says no.
    Refused,
}

/// A store in memory that fails as it is told to.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: InMemory,
    fault: Mutex<Option<Fault>>,
    tries: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(fault: Fault) -> Self {
        Self { inner: InMemory::new(), fault: Mutex::new(Some(fault)), tries: AtomicUsize::new(0) }
    }

    pub(super) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How often something was asked of it.
    pub(super) fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }

    fn fails(&self, path: &Path) -> Option<Result<Error, ()>> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let fault = (*self.fault.lock().unwrap())?;
        Some(match fault {
            Fault::Silent => Err(()),
            Fault::Away => Ok(Error::Generic { store: "test", source: "connection refused".into() }),
            Fault::Refused => {
                let source = "403: <Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>".into();
                Ok(Error::PermissionDenied { path: path.to_string(), source })
            }
        })
    }

    async fn fail(&self, path: &Path) -> Result<()> {
        match self.fails(path) {
            None => Ok(()),
            Some(Ok(error)) => Err(error),
            Some(Err(())) => std::future::pending().await,
        }
    }

    fn fail_all<T: Send + 'static>(&self) -> Option<Many<T>> {
        Some(match self.fails(&Path::default())? {
            Ok(error) => Box::pin(tokio_stream::once(Err(error))),
            Err(()) => Box::pin(tokio_stream::pending()),
        })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.fail(location).await?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.fail(at).await?;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.fail(location).await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: Many<Path>) -> Many<Path> {
        self.fail_all().unwrap_or_else(|| self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> Many<ObjectMeta> {
        self.fail_all().unwrap_or_else(|| self.inner.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.fail(&Path::default()).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.fail(from).await?;
        self.inner.copy_opts(from, to, options).await
    }
}
