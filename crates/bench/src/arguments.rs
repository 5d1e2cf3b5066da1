//! The command line of the benches. Parsing only.

use std::time::Duration;

/// How it is called.
pub const USAGE: &str =
    "usage: sync_bench capture|catchup|idle|memory|compare|copy|documents|all [--samples N] [--rows N] …
  --samples N       repetitions of which the median is printed (5)
  --rows N          changed rows of a catch-up (200000), of a compare or a copy (1000000)
  --transactions 1|10|bulk   only this size of transaction in the catch-up
  --files N         documents (100000)
  --megabytes N     that they have together (800)
  --tools A,B       only these programs (server_sync, rsync, 'rsync then sync', 'rsync --fsync', unison, syncthing)
  --delay MS        of the line that documents take, there and back (0)";

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bench {
    /// Commits of the application, with our triggers and without.
    Capture,
    /// Bringing a site up to date, beside row-based replication.
    Catchup,
    /// A round with nothing to do.
    Idle,
    /// The most memory a round takes.
    Memory,
    /// The full compare, beside a dump and pt-table-sync.
    Compare,
    /// The first copy, beside a dump that is loaded.
    Copy,
    /// Folders of documents, beside rsync, Unison and Syncthing.
    Documents,
    /// Everything.
    All,
    /// Not for people: one compare between the servers on these ports, in a process whose memory is then looked at.
    ComparingChild {
        /// The master's port.
        master: u16,
        /// The slave's.
        slave: u16,
    },
    /// Not for people: one round between the servers on these ports, in a process whose memory is then looked at.
    Child {
        /// The master's port.
        master: u16,
        /// The slave's.
        slave: u16,
    },
}

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What is measured.
    pub bench: Bench,
    /// Repetitions.
    pub samples: usize,
    /// Rows of a catch-up, or of a compare; `None` as many as usual.
    pub rows: Option<u32>,
    /// Only this size of transaction; 0 is the bulk statement.
    pub transactions: Option<u32>,
    files: Option<u64>,
    megabytes: Option<u64>,
    /// Milliseconds.
    delay: u64,
    /// The programs that are measured; none: all that are installed.
    pub tools: Vec<String>,
}

impl Arguments {
    /// Parses the words after the program's name.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let name = words.next().ok_or("say what to measure")?;
        let bench = match name.as_str() {
            "capture" => Bench::Capture,
            "catchup" => Bench::Catchup,
            "idle" => Bench::Idle,
            "memory" => Bench::Memory,
            "compare" => Bench::Compare,
            "copy" => Bench::Copy,
            "documents" => Bench::Documents,
            "comparing-child" => Bench::ComparingChild { master: number(words.next())?, slave: number(words.next())? },
            "all" => Bench::All,
            "child" => Bench::Child { master: number(words.next())?, slave: number(words.next())? },
            other => return Err(format!("there is no bench {other}")),
        };
        let mut arguments = Arguments::usual(bench);
        while let Some(option) = words.next() {
            arguments.set(&option, words.next())?;
        }
        Ok(arguments)
    }

    fn usual(bench: Bench) -> Self {
        Arguments {
            bench,
            samples: 5,
            rows: None,
            transactions: None,
            files: None,
            megabytes: None,
            delay: 0,
            tools: Vec::new(),
        }
    }

    fn set(&mut self, option: &str, value: Option<String>) -> Result<(), String> {
        match option {
            "--samples" => self.samples = number::<usize>(value)?.max(1),
            "--rows" => self.rows = Some(number::<u32>(value)?.max(10)),
            "--transactions" if value.as_deref() == Some("bulk") => self.transactions = Some(0),
            "--files" => self.files = Some(number::<u64>(value)?.max(1)),
            "--megabytes" => self.megabytes = Some(number::<u64>(value)?.max(1)),
            "--delay" => self.delay = number(value)?,
            "--tools" => self.tools = value.ok_or("--tools needs names")?.split(',').map(str::to_owned).collect(),
            "--transactions" => self.transactions = Some(number(value)?),
            other => return Err(format!("there is no option {other}")),
        }
        Ok(())
    }

    /// Rows of a catch-up.
    pub fn changed_rows(&self) -> u32 {
        self.rows.unwrap_or(200_000)
    }

    /// Rows of a table in a compare or a copy.
    pub fn compared_rows(&self) -> u32 {
        self.rows.unwrap_or(1_000_000)
    }

    /// Documents.
    pub fn files(&self) -> u64 {
        self.files.unwrap_or(100_000)
    }

    /// What they have together.
    pub fn megabytes(&self) -> u64 {
        self.megabytes.unwrap_or(800)
    }

    /// Of the line that documents take, there and back.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay)
    }

    /// Whether this bench was asked for.
    pub fn wants(&self, bench: &Bench) -> bool {
        self.bench == Bench::All || self.bench == *bench
    }
}

fn number<T: std::str::FromStr>(word: Option<String>) -> Result<T, String> {
    let word = word.ok_or("a number is missing")?;
    word.parse().map_err(|_| format!("{word} is not a number that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let parsed = parse("catchup --samples 3 --rows 1000 --transactions bulk").expect("a right line");
        let expected =
            Arguments { samples: 3, rows: Some(1000), transactions: Some(0), ..Arguments::usual(Bench::Catchup) };
        assert_eq!(parsed, expected);
        assert!(parsed.wants(&Bench::Catchup) && !parsed.wants(&Bench::Idle));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [("", "what"), ("fast", "fast"), ("all --samples x", "x"), ("all --rows", "missing")] {
            assert!(parse(line).is_err_and(|e| e.contains(word)), "{line}");
        }
    }
}
