//! What is written for programs: one object a line, each with a `message_type`. These shapes are a promise, described in
//! docs/json.md: members may be added, never renamed or removed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};
use sync_core::{Stamp, Summary, Value};
use sync_engine::numbering::{Plan, Steps};
use sync_engine::verify::{Difference, Example, Verification, Verified};
use sync_engine::{EngineError, PausedTable, RoundReport};
use sync_store::{Applied, ConflictEntry, ParkedEntry};
use sync_tree::Version;
use sync_tree::survey::Copied;

use crate::documents;
use crate::failure::{Failure, code_name};
use crate::show::Sites;

/// Now, RFC 3339 in UTC.
pub fn now() -> String {
    sync_engine::state::now()
}

/// A cell's value: bytes as `{"hex": "…"}`, floats that JSON lacks as text.
pub fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(n) => json!(n),
        Value::UInt(n) => json!(n),
        Value::Float(bits) => float(f64::from(f32::from_bits(*bits))),
        Value::Double(bits) => float(f64::from_bits(*bits)),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({ "hex": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() }),
    }
}

fn float(f: f64) -> Json {
    if f.is_finite() { json!(f) } else { json!(f.to_string()) }
}

/// What ended a command, on standard error.
#[derive(Serialize)]
pub struct ExitError<'a> {
    message_type: &'static str,
    time: String,
    code: u8,
    kind: &'static str,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> ExitError<'a> {
    /// From a failure.
    pub fn new(failure: &'a Failure) -> Self {
        ExitError {
            message_type: "exit_error",
            time: now(),
            code: failure.code,
            kind: code_name(failure.code),
            message: &failure.message,
            hint: failure.hint.as_deref(),
        }
    }
}

/// A round that was done, or would be.
#[derive(Serialize)]
pub struct Round<'a> {
    message_type: &'static str,
    time: String,
    vd: &'a str,
    site: &'a str,
    peer: &'a str,
    dry_run: bool,
    compared: bool,
    millis: u64,
    received: BTreeMap<&'a str, Counts>,
    sent: BTreeMap<&'a str, Counts>,
    conflicts: u64,
    parked: u64,
    documents: Vec<Json>,
    paused: Vec<Paused<'a>>,
    refused: Vec<Paused<'a>>,
    warnings: &'a [String],
    notes: &'a [String],
}

impl<'a> Round<'a> {
    /// From the engine's report.
    pub fn new(vd: &'a str, site: &'a str, report: &'a RoundReport) -> Self {
        Round {
            message_type: "round",
            time: now(),
            vd,
            site,
            peer: &report.peer,
            dry_run: report.dry_run,
            compared: report.compared,
            millis: report.millis,
            received: counts(&report.pulled),
            sent: counts(&report.pushed),
            conflicts: report.conflicts().count() as u64,
            parked: report.parked(),
            documents: report.documents.iter().map(documents::object).collect(),
            paused: paused(&report.paused),
            refused: paused(&report.refused),
            warnings: &report.warnings,
            notes: &report.notes,
        }
    }
}

/// What became of a table's rows.
#[derive(Serialize)]
struct Counts {
    rows: u64,
    inserted: u64,
    updated: u64,
    deleted: u64,
    conflicts: u64,
    parked: u64,
}

/// What was found when everything was compared with a slave.
pub fn verification(vd: &str, site: &str, found: &Verification) -> Json {
    let tables: BTreeMap<&str, Json> = found.tables.iter().map(|t| (t.name.as_str(), verified(t))).collect();
    json!({
        "message_type": "verification",
        "time": now(),
        "vd": vd,
        "site": site,
        "peer": found.peer,
        "equal": found.is_equal(),
        "millis": found.millis,
        "tables": tables,
        "documents": found.documents.iter().map(documents::verified_object).collect::<Vec<_>>(),
        "paused": paused(&found.paused),
        "refused": paused(&found.refused),
        "exchanges": found.traffic.exchanges,
        "bytes": found.traffic.bytes,
    })
}

fn verified(table: &Verified) -> Json {
    let example = |e: &Example| {
        let kind = match e.kind {
            Difference::Values => "values",
            Difference::OnlyHere => "only_here",
            Difference::OnlyThere => "only_there",
        };
        json!({ "key": e.key.iter().map(value).collect::<Vec<_>>(), "kind": kind })
    };
    json!({
        "rows": table.rows,
        "peer_rows": table.peer_rows,
        "equal": table.differences() == 0,
        "differing": table.differing,
        "only_here": table.only_here,
        "only_there": table.only_there,
        "on_the_way": table.on_the_way,
        "examples": table.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

fn counts(applied: &Applied) -> BTreeMap<&str, Counts> {
    let one = |s: &Summary| Counts {
        rows: s.received,
        inserted: s.inserted,
        updated: s.updated,
        deleted: s.deleted,
        conflicts: s.conflicts,
        parked: s.parked,
    };
    applied.tables.iter().map(|(name, summary)| (name.as_str(), one(summary))).collect()
}

/// A table that does not take part.
#[derive(Serialize)]
struct Paused<'a> {
    table: &'a str,
    reason: &'a str,
}

fn paused(tables: &[PausedTable]) -> Vec<Paused<'_>> {
    tables.iter().map(|t| Paused { table: &t.name, reason: &t.reason }).collect()
}

/// A conflict. `vd` is there so that lines of several virtual desktops can be told apart.
pub fn conflict(vd: &str, entry: &ConflictEntry, sites: &Sites) -> Json {
    let values = |values: &[Value]| values.iter().map(value).collect::<Vec<_>>();
    json!({
        "message_type": "conflict",
        "vd": vd,
        "id": entry.id,
        "table": entry.table,
        "key": values(&entry.key),
        "kind": entry.kind,
        "column": entry.column,
        "columns": entry.columns,
        "winner": write(entry.winner, sites),
        "loser": write(entry.loser, sites),
        "winning": values(&entry.winning),
        "losing": values(&entry.losing),
        "restored": entry.restored,
    })
}

/// What a constraint keeps from being shown.
pub fn parked(vd: &str, entry: &ParkedEntry) -> Json {
    let key = |key: &[Value]| key.iter().map(value).collect::<Vec<_>>();
    json!({
        "message_type": "parked",
        "vd": vd,
        "table": entry.table,
        "key": key(&entry.key),
        "kind": entry.kind.name(),
        "detail": entry.detail,
        "other": entry.other.as_ref().map(|(table, other)| json!({ "table": table, "key": key(other) })),
    })
}

/// A copy of a concurrent edit in a folder of documents.
pub fn document_copy(vd: &str, folder: &str, copy: &Copied) -> Json {
    json!({
        "message_type": "document_conflict",
        "vd": vd,
        "folder": folder,
        "path": sync_tree::shown(&copy.path),
        "size": copy.size,
        "modified": nanos(copy.mtime),
    })
}

/// A version of a file in the trash of a folder.
pub fn trashed(vd: &str, folder: &str, path: &[u8], version: &Version) -> Json {
    json!({
        "message_type": "trash_version",
        "vd": vd,
        "folder": folder,
        "path": sync_tree::shown(path),
        "at": crate::show::utc_millis(u64::try_from(version.at).unwrap_or_default()),
        "size": version.size,
        "modified": nanos(version.mtime),
        "hash": version.hash.to_string(),
    })
}

/// A moment in nanoseconds since the Unix epoch, RFC 3339.
fn nanos(nanos: i64) -> Option<String> {
    jiff::Timestamp::from_nanosecond(nanos.into()).ok().map(|t| t.to_string())
}

/// When and where something was written.
fn write(stamp: Stamp, sites: &Sites) -> Json {
    let time = crate::show::timestamp(stamp).map(|t| t.to_string());
    json!({ "time": time, "site_number": stamp.site().number(), "site": sites.known(stamp.site()) })
}

/// A site whose database is ready for its masters.
pub fn prepared(settings: &sync_config::Settings, vd_version: &str) -> Json {
    json!({
        "message_type": "prepared",
        "time": now(),
        "vd": settings.vd.as_str(),
        "vd_version": vd_version,
        "site": settings.site.as_str(),
        "site_number": settings.site_number,
        "masters": settings.masters.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
    })
}

/// How the server numbers automatic keys; nothing of a database that cannot be told.
pub fn numbering(settings: &sync_config::Settings, plan: Option<&Plan>, dry_run: bool) -> Json {
    let steps = |s: Steps| json!({ "increment": s.increment, "offset": s.offset });
    json!({
        "message_type": "auto_increment",
        "time": now(),
        "vd": settings.vd.as_str(),
        "site": settings.site.as_str(),
        "applies": plan.is_some(),
        "dry_run": dry_run,
        "before": plan.map(|p| steps(p.before)),
        "wanted": plan.map(|p| steps(p.wanted)),
        "statements": plan.map(|p| &p.statements),
        "lasts": plan.map(|p| p.lasts),
        "configuration": plan.filter(|p| !p.lasts).map(|p| p.wanted.lines()),
    })
}

/// A database from which everything of ours was removed.
pub fn uninstalled(settings: &sync_config::Settings, tables: usize) -> Json {
    json!({
        "message_type": "uninstalled",
        "time": now(),
        "vd": settings.vd.as_str(),
        "site": settings.site.as_str(),
        "tables": tables,
    })
}

/// A round of the daemon that failed and will be tried again.
pub fn failed(link: &str, error: &EngineError, pause: Duration) -> Json {
    json!({
        "message_type": "round_failed",
        "time": now(),
        "peer": link,
        "code": error.kind.exit_code(),
        "kind": code_name(error.kind.exit_code()),
        "message": error.message,
        "hint": error.hint,
        "retry_seconds": pause.as_secs_f64(),
    })
}

/// One finding of `check`.
pub fn check(vd: &str, level: &str, subject: &str, text: &str, hint: Option<&str>, code: u8) -> Json {
    json!({
        "message_type": "check",
        "time": now(),
        "vd": vd,
        "level": level,
        "subject": subject,
        "message": text,
        "hint": hint,
        "code": code,
    })
}
