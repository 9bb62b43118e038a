//! What the figures are taken on, and the memory of this process.

use super::probe::timer_ns;
use super::result::Machine;
use std::fs;
use std::path::Path;

/// This machine, now.
pub(super) fn machine() -> Machine {
    Machine {
        processor: after("/proc/cpuinfo", "model name"),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: kib("/proc/meminfo", "MemTotal"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        optimized: !cfg!(debug_assertions),
        timer_ns: timer_ns(),
        began: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// Resident memory of this process in bytes; none where the system does not tell.
pub(super) fn resident_bytes() -> Option<u64> {
    kib("/proc/self/status", "VmRSS")
}

/// The most there was of it.
pub(super) fn peak_bytes() -> Option<u64> {
    kib("/proc/self/status", "VmHWM")
}

/// Nanoseconds that this thread has waited for a processor; none where the kernel does not tell.
pub(super) fn waited_ns() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').nth(1)?.parse().ok()
}

fn after(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kib(path: &str, name: &str) -> Option<u64> {
    let text = after(path, name)?;
    text.split(' ').next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes of all files below `folder`; files that go meanwhile count for nothing.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    each.sum()
}
