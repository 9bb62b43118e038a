//! An object store across a network: calls take their time, fail before they take effect or after, and take effect even
//! if whoever made them is dead by then.

use super::world::{HEAVEN, sleep, spawn, world};
use async_trait::async_trait;
use futures::channel::oneshot;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Clone)]
pub(super) struct SimulatedStore {
    pub(super) objects: Arc<InMemory>,
    /// One of so many calls fails; 0: none.
    pub(super) fails_one_in: Arc<AtomicU64>,
}

impl fmt::Display for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated")
    }
}

fn failure() -> Error {
    Error::Generic { store: "simulated", source: "made to fail".into() }
}

impl SimulatedStore {
    /// Does `effect` after some time, whoever waits for it, and answers after some more.
    async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        path: String,
        effect: impl Future<Output = Result<T>> + 'static,
    ) -> Result<T> {
        let answered = {
            let (answer, answered) = oneshot::channel();
            let world = world();
            let fails = world.one_in(self.fails_one_in.load(Ordering::Relaxed));
            let (when, goes_us, comes_us) =
                (world.draw(0..3), world.draw(1..400), world.draw(1..400));
            // One in some takes very long.
            let goes_us = if world.one_in(40) { goes_us * 50 } else { goes_us };
            spawn(HEAVEN, async move {
                sleep(goes_us).await;
                let mut answer = Some(answer);
                if fails && when < 2 {
                    let _ = answer.take().map(|answer| answer.send(Err(failure())));
                    super::world::world().note(what, format_args!("{path} fails"));
                    // It never takes effect, or later, when nobody thinks of it any more.
                    if when == 0 {
                        return;
                    }
                    sleep(goes_us * comes_us / 4).await;
                }
                let result = effect.await;
                let took = if result.is_ok() { "done" } else { "refused" };
                super::world::world().note(what, format_args!("{path} {took}"));
                sleep(comes_us).await;
                let Some(answer) = answer else { return };
                let _ = answer.send(if fails { Err(failure()) } else { result });
            });
            answered
        };
        answered.await.unwrap_or_else(|_| Err(failure()))
    }
}

#[async_trait]
impl ObjectStore for SimulatedStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (objects, to) = (Arc::clone(&self.objects), path.clone());
        let effect = async move { objects.put_opts(&to, payload, options).await };
        self.call("put", path.to_string(), effect).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // Files of simulations are small.
        Err(failure())
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let (objects, of) = (Arc::clone(&self.objects), path.clone());
        let effect = async move { objects.get_opts(&of, options).await };
        self.call("get", path.to_string(), effect).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |path: Result<Path>| {
            let store = store.clone();
            async move {
                let path = path?;
                let (objects, of) = (Arc::clone(&store.objects), path.clone());
                let effect = async move { objects.delete(&of).await };
                store.call("delete", path.to_string(), effect).await.map(|()| path)
            }
            .boxed()
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let path = prefix.as_ref().map(Path::to_string).unwrap_or_default();
            let objects = Arc::clone(&store.objects);
            let effect = async move { objects.list(prefix.as_ref()).try_collect::<Vec<_>>().await };
            let found = store.call("list", path, effect).await?;
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (objects, of) = (Arc::clone(&self.objects), prefix.cloned());
        let effect = async move { objects.list_with_delimiter(of.as_ref()).await };
        self.call("list", prefix.map(Path::to_string).unwrap_or_default(), effect).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (objects, of, as_) = (Arc::clone(&self.objects), from.clone(), to.clone());
        let effect = async move { objects.copy_opts(&of, &as_, options).await };
        self.call("copy", to.to_string(), effect).await
    }
}
