//! A disk that is full, under a backend of RocksDB: a small one of memory, which a child process mounts
//! for itself alone.

use esker::backend::rocksdb::{Budget, RocksBackend, RocksBackends, RocksOptions};
use esker::backend::{Backend, Handle, ValueCalls};
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::state::ValueDescriptor;
use esker::{Error, ErrorKind, Result, Store, block_on};
use esker_test_support::tool;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Names the folder of the store; the disk is mounted on `disk` in it.
const FOLDER: &str = "ESKER_TESTS_FULL";
const DISK_LEN: &str = "24m";
const UID: &str = "op";

type Values = Handle<<RocksBackend as Backend>::Value<u64, (), Vec<u8>>>;

/// Runs the test `name` of this binary in a process that has a disk of its own.
fn with_disk(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = |as_user: &[&str], args: &[&str]| -> std::io::Result<Output> {
        let mount = format!("mount -t tmpfs -o size={DISK_LEN} none \"$0\" && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(as_user).args(["--mount", "sh", "-c", &mount]).arg(&disk).args(args);
        command.env(FOLDER, folder.path()).output()
    };
    let ways = [&[][..], &["--user", "--map-root-user"]];
    let may = |way: &&&[&str]| mounted(way, &["true"]).is_ok_and(|done| done.status.success());
    let Some(way) = ways.iter().find(may) else {
        return tool::skip(name, "this process may not mount a disk of its own");
    };
    let exe = std::env::current_exe().unwrap();
    let test = format!("full::{name}");
    let args = [exe.to_str().unwrap(), "--exact", &test, "--ignored", "--nocapture"];
    let done = mounted(way, &args).unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.contains("1 passed"), "{out}\n{err}");
    println!("{out}");
}

struct Job {
    job: LocalJob,
    backends: [RocksBackend; 1],
    values: Values,
}

impl Job {
    /// The job as its last checkpoint has it, with its database on `disk`.
    fn open(folder: &Path, disk: &Path) -> Result<Self> {
        let mut job = block_on(LocalJob::open(Store::open(folder.to_str().unwrap())?, "full"))?;
        // About a megabyte of it is for what is not written yet.
        let factory = RocksBackends::new(disk, RocksOptions::new(Budget::new(3 << 20)))?;
        let mut backend = job.backend_of(&factory, UID, KeyGroupRange::ALL)?;
        let values = backend.open(ValueDescriptor::<u64, Vec<u8>>::new("values"))?;
        block_on(job.restore(&mut backend))?;
        Ok(Self { job, backends: [backend], values })
    }

    fn put(&mut self, key: u64) -> Result<()> {
        let values = self.backends[0].state(self.values)?;
        values.update(&key, &(), value(key))
    }

    fn checkpoint(&mut self) -> Result<u64> {
        block_on(self.job.checkpoint(&mut self.backends))
    }

    /// That it holds the values of `keys`, and none from there on.
    fn check(&mut self, keys: u64) {
        let values = self.backends[0].state(self.values).unwrap();
        for key in 0..keys {
            assert_eq!(values.get(&key, &()).unwrap(), Some(value(key)), "key={key}");
        }
        assert_eq!(values.get(&keys, &()).unwrap(), None);
    }
}

/// A kilobyte that does not compress.
fn value(key: u64) -> Vec<u8> {
    let mut bits = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits as u8
    };
    (0..1024).map(|_| byte()).collect()
}

/// Fills the disk to its last byte.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    path
}

fn is_full(error: &Error, disk: &Path) {
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    let text = error.to_string();
    assert!(text.contains("the disk is full") && text.contains(disk.to_str().unwrap()), "{text}");
}

/// That the backend is used no more: RocksDB does not go on once it could not write what it had in
/// memory.
fn is_stopped<T: std::fmt::Debug>(done: Result<T>) {
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    let text = error.to_string();
    assert!(text.contains("disk") && text.contains("restore the backend"), "{text}");
}

/// The store without whoever owns it.
fn copied(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match path.is_dir() {
            true => {
                fs::create_dir(&to).unwrap();
                copied(&path, &to);
            }
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

fn folders() -> (PathBuf, PathBuf) {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    (folder.join("store"), folder.join("disk"))
}

#[test]
#[ignore = "a process with a disk of its own"]
fn in_a_checkpoint() {
    let (store, disk) = folders();
    let mut job = Job::open(&store, &disk).unwrap();
    (0..500).try_for_each(|key| job.put(key)).unwrap();
    assert_eq!(job.checkpoint().unwrap(), 1);
    let filler = fill(&disk);
    (500..700).try_for_each(|key| job.put(key)).unwrap();
    is_full(&job.checkpoint().unwrap_err(), &disk);
    is_stopped(job.checkpoint());
    is_stopped(job.put(700));
    // What is retained is as it was, and restores where there is room.
    let (copy, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copied(&store, copy.path());
    Job::open(copy.path(), other.path()).unwrap().check(500);
    goes_on(job, (&store, &disk), &filler);
}

/// That a job which is restored once there is room goes on.
fn goes_on(job: Job, (store, disk): (&Path, &Path), filler: &Path) {
    drop(job);
    fs::remove_file(filler).unwrap();
    let mut job = Job::open(store, disk).unwrap();
    job.check(500);
    (500..800).try_for_each(|key| job.put(key)).unwrap();
    assert!(job.checkpoint().unwrap() > 1);
    drop(job);
    Job::open(store, disk).unwrap().check(800);
}

#[test]
#[ignore = "a process with a disk of its own"]
fn in_calls() {
    let (store, disk) = folders();
    let mut job = Job::open(&store, &disk).unwrap();
    (0..500).try_for_each(|key| job.put(key)).unwrap();
    assert_eq!(job.checkpoint().unwrap(), 1);
    let filler = fill(&disk);
    let failed = (500..50_000).find_map(|key| Some((key, job.put(key).err()?)));
    let (keys, error) = failed.expect("the disk is full, and nothing fails");
    is_full(&error, &disk);
    is_stopped(job.put(keys));
    is_stopped(job.checkpoint());
    goes_on(job, (&store, &disk), &filler);
}

#[test]
fn a_disk_that_is_full_in_a_checkpoint_is_named_and_the_job_goes_on() {
    with_disk("in_a_checkpoint");
}

#[test]
fn a_disk_that_is_full_in_calls_is_named_and_the_job_goes_on() {
    with_disk("in_calls");
}
