//! A client that any executor may call, and that says of a create-only put only what is so.
//!
//! A put that must not overwrite is sent once. If it were sent again after an answer was lost, as other calls are,
//! the second one would find the object of the first, and be told that it exists: of that nobody could tell whose
//! it is. So two clients share a connector: one tries again with a backoff, the other never.

use super::Place;
use super::answer::{Heard, cleaned};
use crate::store::runtime;
use async_trait::async_trait;
use futures::future::poll_fn;
use futures::stream::{self, BoxStream, StreamExt};
use futures::{FutureExt, Stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, UploadPart,
};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A container's client. Its I/O and its timers are those of esker's own runtime, which is entered whenever a call is
/// polled: the caller may have no runtime, one without timers, or one that ends before the store does.
pub(super) struct Client {
    /// Tries again what may be done twice.
    pub(super) repeating: Arc<dyn ObjectStore>,
    /// Sends what it is given once.
    pub(super) once: Arc<dyn ObjectStore>,
    pub(super) place: Arc<Place>,
    pub(super) runtime: Handle,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({self})")
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl Client {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        entered(&self.runtime, call).await.map_err(|error| cleaned(error, &self.place))
    }

    fn stream<T: 'static>(
        &self,
        stream: impl Stream<Item = Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let (runtime, place) = (self.runtime.clone(), Arc::clone(&self.place));
        let mut stream = Box::pin(stream);
        let entered = stream::poll_fn(move |context| {
            let _entered = runtime.enter();
            stream.poll_next_unpin(context)
        });
        entered.map(move |item| item.map_err(|error| cleaned(error, &place))).boxed()
    }
}

/// Polls `call` within `runtime`, on whatever thread.
async fn entered<T>(runtime: &Handle, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    poll_fn(|context| {
        let _entered = runtime.enter();
        call.as_mut().poll(context)
    })
    .await
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != PutMode::Create {
            return self.call(self.repeating.put_opts(path, payload, options)).await;
        }
        let put = entered(&self.runtime, self.once.put_opts(path, payload, options)).await;
        put.map_err(|error| match (Heard::of(&error).is_undecided(), cleaned(error, &self.place)) {
            (true, Error::AlreadyExists { source, .. }) => {
                Error::Generic { store: "remote", source }
            }
            (_, error) => error,
        })
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.call(self.repeating.put_multipart_opts(path, options)).await?;
        let (place, runtime) = (Arc::clone(&self.place), self.runtime.clone());
        Ok(Box::new(Upload { upload, place, runtime }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.call(self.repeating.get_opts(path, options)).await?;
        if let GetResultPayload::Stream(stream) = found.payload {
            found.payload = GetResultPayload::Stream(self.stream(stream));
        }
        Ok(found)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.stream(self.repeating.delete_stream(paths))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.stream(self.repeating.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(self.repeating.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(self.repeating.copy_opts(from, to, options)).await
    }
}

struct Upload {
    upload: Box<dyn MultipartUpload>,
    place: Arc<Place>,
    runtime: Handle,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({})", self.place)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (place, runtime) = (Arc::clone(&self.place), self.runtime.clone());
        let _entered = self.runtime.enter();
        let sent = self.upload.put_part(part);
        async move { entered(&runtime, sent).await.map_err(|error| cleaned(error, &place)) }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = entered(&self.runtime, self.upload.complete()).await;
        done.map_err(|error| cleaned(error, &self.place))
    }

    async fn abort(&mut self) -> Result<()> {
        let done = entered(&self.runtime, self.upload.abort()).await;
        done.map_err(|error| cleaned(error, &self.place))
    }
}

impl Client {
    /// # Errors
    /// `Retry` if esker's runtime cannot be started.
    pub(super) fn new(
        repeating: impl ObjectStore,
        once: impl ObjectStore,
        place: Arc<Place>,
    ) -> crate::Result<Self> {
        let runtime = runtime::handle()?;
        Ok(Self { repeating: Arc::new(repeating), once: Arc::new(once), place, runtime })
    }
}
