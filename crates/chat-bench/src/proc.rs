//! Processor time, memory and descriptors of a server process, as the kernel reports them.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// A description of how processor time is measured, for the report.
pub(crate) const CPU_SOURCE: &str = "the kernel's CPU clock of the server's process (clock_getcpuclockid: user and system time in ns, \
     of all its threads, ended ones too)";

/// The processor time that a process has used since it started.
///
/// This is the process's CPU clock: user and system time in nanoseconds, including threads that have ended.
/// `/proc/PID/stat` has the same sum in ticks of 10 ms; `/proc/PID/task/*/schedstat` has nanoseconds, but without the
/// threads that have ended.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32))?;
    Ok(Duration::from(clock.now()?))
}

/// The resident memory of a process in KiB (`VmRSS`). This does not include the kernel's memory for the process's
/// sockets.
pub(crate) fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_resident(&status).ok_or_else(|| io::Error::other("no VmRSS in /proc/PID/status"))
}

/// The number of descriptors that a process holds.
pub(crate) fn descriptors(pid: u32) -> io::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The kernel's memory for all TCP sockets of this machine, in KiB. This memory is not part of any process's resident
/// memory.
pub(crate) fn socket_memory_kib() -> io::Result<u64> {
    /// The page size in KiB on most machines.
    const PAGE_KIB: u64 = 4;
    let text = std::fs::read_to_string("/proc/net/sockstat")?;
    let pages = parse_socket_pages(&text);
    let missing = || io::Error::other("no TCP mem in /proc/net/sockstat");
    Ok(pages.ok_or_else(missing)? * PAGE_KIB)
}

fn parse_socket_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
    words.nth(1)?.parse().ok()
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Raises the descriptor limit of this process, and of the servers that it starts, to the hard limit. Fails if `needed`
/// exceeds the hard limit.
pub(crate) fn raise_descriptor_limit(needed: usize) -> io::Result<()> {
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if (hard as usize) < needed {
        let text =
            format!("{needed} descriptors are needed, the hard limit is {hard} (ulimit -Hn)");
        return Err(io::Error::other(text));
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|error: Errno| error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\tx\nVmHWM:\t  999 kB\nVmRSS:\t  1234 kB\nThreads:\t1\n";
        assert_eq!(parse_resident(status), Some(1234));
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    fn socket_memory_is_read_from_the_statistics() {
        let sockstat =
            "sockets: used 9\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 700\nUDP: inuse 1 mem 3\n";
        assert_eq!(parse_socket_pages(sockstat), Some(700));
        assert_eq!(parse_socket_pages("UDP: inuse 1 mem 3\n"), None);
    }

    #[test]
    fn own_figures_can_be_read() {
        let pid = std::process::id();
        assert!(resident_kib(pid).unwrap() > 0);
        let before = cpu_time(pid).unwrap();
        let mut sum = 0_u64;
        while cpu_time(pid).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
