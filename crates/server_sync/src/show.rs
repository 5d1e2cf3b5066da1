//! How times, sites, rows and keys look to people. Reads the time zone of the system and nothing else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sync_core::{SiteId, Stamp, Value};

/// The names of the sites, by number, as far as they are known here.
#[derive(Clone, Debug, Default)]
pub struct Sites(pub BTreeMap<u16, String>);

impl Sites {
    /// A site's name, if it is known.
    pub fn known(&self, site: SiteId) -> Option<&str> {
        self.0.get(&site.number()).map(String::as_str)
    }

    /// A site's name, or its number.
    pub fn name(&self, site: SiteId) -> String {
        self.known(site).map_or_else(|| format!("#{site}"), str::to_owned)
    }
}

/// The moment of a stamp; nothing for what was there before synchronisation began.
pub fn timestamp(stamp: Stamp) -> Option<Timestamp> {
    let millis = i64::try_from(stamp.millis()).ok().filter(|_| stamp.is_written())?;
    Timestamp::from_millisecond(millis).ok()
}

/// A moment in local time, to the second.
pub fn local(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment that was remembered as RFC 3339, in local time.
pub fn local_text(moment: &str) -> String {
    moment.parse().map_or_else(|_| moment.to_owned(), local)
}

/// A moment in milliseconds since the Unix epoch, in local time.
pub fn local_millis(millis: u64) -> String {
    local_text(&utc_millis(millis))
}

/// The same as RFC 3339, in UTC.
pub fn utc_millis(millis: u64) -> String {
    let moment = i64::try_from(millis).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| millis.to_string(), |m| m.to_string())
}

/// So many bytes: `0 B`, `12 kB`, `3.4 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("B", 1)];
    let (unit, size) = UNITS.into_iter().find(|(_, size)| bytes >= *size).unwrap_or(("B", 1));
    match bytes / size {
        whole if whole < 10 && size > 1 => format!("{:.1} {unit}", bytes as f64 / size as f64),
        whole => format!("{whole} {unit}"),
    }
}

/// How long ago a remembered moment is.
pub fn age(moment: &str, now: Timestamp) -> Option<std::time::Duration> {
    let then: Timestamp = moment.parse().ok()?;
    Some(std::time::Duration::from_secs(u64::try_from(now.as_second() - then.as_second()).unwrap_or_default()))
}

/// A row's key: `7`, or `3, 'a'`.
pub fn key(key: &[Value]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Milliseconds as seconds: `0.12 s`, `3.4 s`, `75 s`.
pub fn seconds(millis: u64) -> String {
    let seconds = millis as f64 / 1000.0;
    match millis {
        0..1_000 => format!("{seconds:.2} s"),
        1_000..10_000 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_without_a_name_show_their_number() {
        let sites = Sites(BTreeMap::from([(1, "geneva".to_owned())]));
        let site = |n| SiteId::new(n).unwrap();
        assert_eq!([sites.name(site(1)), sites.name(site(7))], ["geneva", "#7"]);
    }

    #[test]
    fn what_was_there_before_has_no_moment() {
        assert_eq!(timestamp(Stamp::BASELINE), None);
        let stamp = Stamp::at(1_800_000_000_000, SiteId::new(1).unwrap());
        assert_eq!(timestamp(stamp).unwrap().to_string(), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!([12, 3_400, 75_000].map(seconds), ["0.01 s", "3.4 s", "75 s"]);
        let now: Timestamp = "2027-01-15T08:01:00Z".parse().unwrap();
        assert_eq!(age("2027-01-15T08:00:00Z", now).unwrap().as_secs(), 60);
        assert_eq!(age("2027-01-15T09:00:00Z", now).unwrap().as_secs(), 0);
    }
}
