//! Figures as Markdown: the machine, tables, medians. Knows nothing of what was measured.

use std::fs::read_to_string;

/// Prints what the figures were measured on.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")).and_then(|l| l.split_whitespace().next());
    let gib = kib.and_then(|k| k.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0 / 1024.0;
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|l| l.strip_prefix("model name")).map(|l| l.trim_start_matches([' ', '\t', ':']));
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    println!(
        "Machine: {cores} cores ({}), {gib:.0} GiB; load before the bench {load}. server_sync {}.",
        model.unwrap_or("unknown"),
        env!("CARGO_PKG_VERSION")
    );
}

/// A heading and the head of a table.
pub fn table(title: &str, note: &str, columns: &[&str]) {
    println!("\n### {title}\n\n{note}\n");
    row(columns);
    row(&vec!["---"; columns.len()]);
}

/// A line of a table.
pub fn row<T: AsRef<str>>(cells: &[T]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    println!("| {} |", cells.join(" | "));
}

/// The middle one of some figures, or the mean of the two in the middle; 0 of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => 0.0,
        n if n % 2 == 1 => figures[middle],
        _ => (figures[middle - 1] + figures[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (figures, middle) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![1.0, 4.0], 2.5)] {
            assert!((median(figures) - middle).abs() < 1e-9);
        }
    }
}
