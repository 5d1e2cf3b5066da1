//! What the kernel tells of a process: the processor time it used, and the most memory it had. Linux only.

use std::fs::read_to_string;

use mysql::prelude::Queryable;
use sync_testbed::Server;

use crate::Result;

/// Ticks of /proc in a second; the same on every Linux that programs can see.
const TICKS: f64 = 100.0;

/// Processor seconds (user and system) that a process and its threads have used.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses can hold spaces; utime and stime are the 12th and 13th fields after it.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = rest.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap_or(0.0));
    Ok(ticks.sum::<f64>() / TICKS)
}

/// The most memory this process ever had in RAM, in MiB.
pub fn own_peak_mib() -> Result<f64> {
    let status = read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("the kernel does not tell VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// The process of a server. MySQL lives in a root of its own, below which its files are.
pub fn server_pid(server: &Server) -> Result<u32> {
    let file: String = server.root()?.query_first("SELECT @@pid_file")?.ok_or("the server names no pid file")?;
    let root = std::env::var("SERVER_SYNC_TEST_MYSQL_ROOT").unwrap_or_default();
    let text = read_to_string(&file).or_else(|_| read_to_string(format!("{root}/{file}")))?;
    Ok(text.trim().parse()?)
}

/// Adds up the processor time of servers, and of this process if wanted, between two moments.
pub struct Cpu {
    pids: Vec<u32>,
    before: f64,
}

impl Cpu {
    /// Starts counting.
    pub fn of(servers: &[&Server], own: bool) -> Result<Self> {
        let mut pids = servers.iter().map(|s| server_pid(s)).collect::<Result<Vec<_>>>()?;
        pids.extend(own.then(std::process::id));
        let mut cpu = Cpu { pids, before: 0.0 };
        cpu.before = cpu.total()?;
        Ok(cpu)
    }

    fn total(&self) -> Result<f64> {
        self.pids.iter().map(|pid| cpu_seconds(*pid)).sum()
    }

    /// Seconds since the start.
    pub fn used(&self) -> Result<f64> {
        Ok(self.total()? - self.before)
    }
}
