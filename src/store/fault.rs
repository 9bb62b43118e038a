//! An object store that fails, waits and tells when it is told to, for tests and demonstrations.

use super::error::EIO;
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, UploadPart,
};
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Writes a whole object.
    Put,
    /// Writes a whole object that must not exist.
    Create,
    /// Begins an object in parts.
    Begin,
    /// Writes a part.
    Part,
    /// Makes an object of its parts.
    Complete,
    /// Gives up an object in parts.
    Abort,
    /// Reads, or looks an object up.
    Get,
    /// Deletes.
    Delete,
    /// Lists.
    List,
    /// Copies.
    Copy,
}

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number; the first is 1.
    pub number: u64,
    /// What it does.
    pub operation: Operation,
    /// To which object, or below which folder.
    pub path: String,
    /// How many bytes it writes; of one that reads, once it is done, how many it gives.
    pub len_bytes: u64,
}

/// When a call is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Before it takes effect.
    Before,
    /// After it took effect, as where an answer is lost.
    After,
}

type Hook = dyn Fn(&Call) + Send + Sync;

#[derive(Default)]
struct Plan {
    call_count: u64,
    fail_at: Option<(u64, When)>,
    fails_always: bool,
    delayed: Option<Vec<Path>>,
    knows_no_copy: bool,
    lost: Vec<(String, Range<u64>)>,
    hook: Option<Arc<Hook>>,
    done_hook: Option<Arc<Hook>>,
}

struct Shared {
    objects: Arc<dyn ObjectStore>,
    plan: Mutex<Plan>,
    puts_paused: watch::Sender<bool>,
}

/// An [`ObjectStore`] around another; clones share one plan and one count of calls.
#[derive(Clone)]
pub struct FaultStore {
    shared: Arc<Shared>,
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.shared.objects)
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.objects.fmt(f)
    }
}

impl FaultStore {
    /// Passes every call on to `objects`, until told otherwise.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        let (puts_paused, _) = watch::channel(false);
        Self { shared: Arc::new(Shared { objects, plan: Mutex::default(), puts_paused }) }
    }

    /// Lets the call of `number` fail, once, with an error that invites a retry.
    pub fn fail_at(&self, number: u64, when: When) {
        self.plan().fail_at = Some((number, when));
    }

    /// Lets every read of any of `bytes` of the object at `path` fail from now on, as a disk does one of whose
    /// sectors cannot be read. Looking the object up goes on to work.
    pub fn lose(&self, path: &str, bytes: Range<u64>) {
        self.plan().lost.push((path.to_owned(), bytes));
    }

    /// Lets every call from now on fail before it takes effect, with an error that invites no retry,
    /// as if the process were dead; or no longer.
    pub fn fail_always(&self, fails: bool) {
        self.plan().fails_always = fails;
    }

    /// How many calls were begun.
    pub fn call_count(&self) -> u64 {
        self.plan().call_count
    }

    /// Calls `hook` before each call.
    pub fn on_call(&self, hook: impl Fn(&Call) + Send + Sync + 'static) {
        self.plan().hook = Some(Arc::new(hook));
    }

    /// Calls `hook` after each call that took effect, before its caller knows.
    pub fn on_done(&self, hook: impl Fn(&Call) + Send + Sync + 'static) {
        self.plan().done_hook = Some(Arc::new(hook));
    }

    /// Lets what would write an object wait, before it takes effect, until
    /// [`FaultStore::release_puts`].
    pub fn pause_puts(&self) {
        self.shared.puts_paused.send_replace(true);
    }

    /// Lets go what [`FaultStore::pause_puts`] made wait.
    pub fn release_puts(&self) {
        self.shared.puts_paused.send_replace(false);
    }

    /// From now on it knows no copy, as some object stores do not.
    pub fn know_no_copy(&self) {
        self.plan().knows_no_copy = true;
    }

    /// From now on a delete fails, and takes effect only at [`FaultStore::apply_deletes`].
    pub fn delay_deletes(&self) {
        self.plan().delayed.get_or_insert_with(Vec::new);
    }

    /// Does what was delayed, and delays no more.
    ///
    /// # Errors
    /// Those of the store, absent objects aside.
    pub async fn apply_deletes(&self) -> Result<()> {
        let delayed = self.plan().delayed.take().unwrap_or_default();
        for path in delayed {
            match self.shared.objects.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and tells the hook; what is to become of it.
    fn begin(&self, operation: Operation, path: &Path, len_bytes: usize) -> (Call, Option<When>) {
        let mut plan = self.plan();
        plan.call_count += 1;
        let (number, len_bytes) = (plan.call_count, len_bytes as u64);
        let call = Call { number, operation, path: path.to_string(), len_bytes };
        let fails = match plan.fail_at {
            _ if plan.fails_always => Some(When::Before),
            Some((at, when)) if at == number => Some(when),
            _ => None,
        };
        let hook = plan.hook.clone();
        drop(plan);
        if let Some(hook) = hook {
            hook(&call);
        }
        (call, fails)
    }

    async fn call<T>(
        &self,
        operation: Operation,
        path: &Path,
        len_bytes: usize,
        effect: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.call_that_gives(operation, path, len_bytes, effect, |_| len_bytes as u64).await
    }

    /// As [`call`](Self::call); `gives` tells how many bytes it was of, once it is done.
    async fn call_that_gives<T>(
        &self,
        operation: Operation,
        path: &Path,
        len_bytes: usize,
        effect: impl Future<Output = Result<T>>,
        gives: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        use Operation::{Complete, Create, Put};
        let (mut call, fails) = self.begin(operation, path, len_bytes);
        if fails == Some(When::Before) {
            return Err(self.refusal(operation, path));
        }
        if matches!(operation, Put | Create | Complete) {
            let mut paused = self.shared.puts_paused.subscribe();
            // It fails only if the sender is gone, which `self` holds.
            let _ = paused.wait_for(|paused| !paused).await;
        }
        let result = effect.await?;
        let hook = self.plan().done_hook.clone();
        if let Some(hook) = hook {
            call.len_bytes = gives(&result);
            hook(&call);
        }
        match fails {
            Some(_) => Err(failure(operation)),
            None => Ok(result),
        }
    }

    fn refusal(&self, operation: Operation, path: &Path) -> Error {
        match self.plan().fails_always {
            true => Error::PermissionDenied {
                path: path.to_string(),
                source: "made to fail for good".into(),
            },
            false => failure(operation),
        }
    }

    /// What a read of something lost says.
    fn check_read(&self, path: &Path, options: &GetOptions) -> Result<()> {
        let asked = match options.range.clone() {
            Some(GetRange::Bounded(range)) => range,
            Some(GetRange::Offset(start)) => start..u64::MAX,
            Some(GetRange::Suffix(_)) | None => 0..u64::MAX,
        };
        let plan = self.plan();
        let touches = |lost: &Range<u64>| lost.start < asked.end && asked.start < lost.end;
        if options.head || !plan.lost.iter().any(|(of, lost)| of == path.as_ref() && touches(lost))
        {
            return Ok(());
        }
        let source = io::Error::from_raw_os_error(EIO).into();
        Err(Error::Generic { store: "fault", source })
    }

    async fn delete_one(&self, path: Path) -> Result<Path> {
        let effect = async {
            let delayed = self.plan().delayed.as_mut().map(|delayed| delayed.push(path.clone()));
            match delayed {
                Some(()) => Err(failure(Operation::Delete)),
                None => self.shared.objects.delete(&path).await,
            }
        };
        self.call(Operation::Delete, &path, 0, effect).await.map(|()| path)
    }
}

fn failure(operation: Operation) -> Error {
    Error::Generic { store: "fault", source: format!("made to fail: {operation:?}").into() }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let operation = match options.mode {
            PutMode::Create => Operation::Create,
            _ => Operation::Put,
        };
        let len_bytes = payload.content_length();
        let effect = self.shared.objects.put_opts(path, payload, options);
        self.call(operation, path, len_bytes, effect).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let effect = self.shared.objects.put_multipart_opts(path, options);
        let upload = self.call(Operation::Begin, path, 0, effect).await?;
        Ok(Box::new(FaultUpload { store: self.clone(), path: path.clone(), upload }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let checked = self.check_read(path, &options);
        let effect = async {
            checked?;
            self.shared.objects.get_opts(path, options).await
        };
        let gives = |found: &GetResult| match is_head {
            true => 0,
            false => found.range.end.saturating_sub(found.range.start),
        };
        self.call_that_gives(Operation::Get, path, 0, effect, gives).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |path: Result<Path>| {
            let store = store.clone();
            async move { store.delete_one(path?).await }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let path = prefix.cloned().unwrap_or(Path::ROOT);
        let (store, objects) = (self.clone(), self.shared.objects.list(prefix));
        let begun = async move {
            store.call(Operation::List, &path, 0, async { Ok(()) }).await.map(|()| objects)
        };
        stream::once(begun).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or(Path::ROOT);
        let effect = self.shared.objects.list_with_delimiter(prefix);
        self.call(Operation::List, &path, 0, effect).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if self.plan().knows_no_copy {
            let (operation, implementer) = ("copy_opts".to_owned(), self.to_string());
            return Err(Error::NotImplemented { operation, implementer });
        }
        let effect = self.shared.objects.copy_opts(from, to, options);
        self.call(Operation::Copy, to, 0, effect).await
    }
}

struct FaultUpload {
    store: FaultStore,
    path: Path,
    upload: Box<dyn MultipartUpload>,
}

impl fmt::Debug for FaultUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultUpload({})", self.path)
    }
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (store, path) = (self.store.clone(), self.path.clone());
        let len_bytes = part.content_length();
        let effect = self.upload.put_part(part);
        async move { store.call(Operation::Part, &path, len_bytes, effect).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let effect = self.upload.complete();
        self.store.call(Operation::Complete, &self.path, 0, effect).await
    }

    async fn abort(&mut self) -> Result<()> {
        let effect = self.upload.abort();
        self.store.call(Operation::Abort, &self.path, 0, effect).await
    }
}
