//! What the figures were taken on.

use std::fs;
use std::time::SystemTime;

/// Machine, memory settings, inputs and date: a few lines above the table.
pub(crate) fn describe() -> String {
    let cpu = after("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let page = after("/proc/self/smaps", "KernelPageSize").unwrap_or_else(|| "unknown".into());
    let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let huge = huge.unwrap_or_else(|_| "unknown".into());
    format!(
        "{cpu}, {cpus} CPUs, load {load} at the end; OS pages {page}, transparent huge pages: {}\n\
         esker {}; hashbrown 0.17, foldhash 0.2 (fast), rocksdb 0.25; one thread; shuffled keys, medians of \
         rounds taken in turn\n{}",
        huge.trim(),
        env!("CARGO_PKG_VERSION"),
        date()
    )
}

fn after(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Today, UTC, by the civil-from-days algorithm (Howard Hinnant).
fn date() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let z = (now.as_secs() / 86_400) as i64 + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// Anonymous resident memory of this process, in bytes.
pub(crate) fn resident_bytes() -> Result<usize, String> {
    let text = after("/proc/self/status", "RssAnon").ok_or("no RssAnon in /proc/self/status")?;
    let kib = text.split(' ').next().and_then(|n| n.parse::<usize>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| format!("RssAnon of {text:?} is no number of kB"))
}

/// Memory that a program may take, in GiB.
pub(crate) fn available_gib() -> Result<u64, String> {
    let text = after("/proc/meminfo", "MemAvailable").ok_or("no MemAvailable in /proc/meminfo")?;
    let kib = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    kib.map(|kib| kib >> 20).ok_or_else(|| format!("MemAvailable of {text:?} is no number of kB"))
}

/// Nanoseconds that this thread has waited for a processor; 0 where the kernel does not say.
pub(crate) fn waited_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}
