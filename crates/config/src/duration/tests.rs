use super::*;
use proptest::prelude::*;

#[test]
fn readable() {
    let table = [
        ("0", 0),
        ("0s", 0),
        ("45", 45),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d1h1m1s", 90_061),
        (" 5m ", 300),
        ("90m", 5400),
        ("007s", 7),
    ];
    for (text, seconds) in table {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text:?}");
    }
}

#[test]
fn unreadable() {
    let bad = [
        "",
        " ",
        "m",
        "5 m",
        "5x",
        "5min",
        "-5m",
        "+5",
        "1.5h",
        "1m1h",
        "1m1m",
        "1h30",
        "5M",
        "5µ",
        "soon",
        "99999999999999999999",
        "18446744073709551615d",
    ];
    for text in bad {
        assert_eq!(parse_duration(text), Err(DurationError(text.to_owned())), "{text:?}");
    }
    assert_eq!(
        parse_duration("soon").unwrap_err().to_string(),
        "\"soon\" is not a length of time; write for instance 30s, 5m, 1h, 1h30m, 2d or a number of seconds"
    );
}

#[test]
fn periods() {
    assert_eq!("0".parse(), Ok(Period::Continuous));
    assert_eq!("5m".parse(), Ok(Period::Every(Duration::from_secs(300))));
    assert_eq!(Period::from(Duration::from_millis(1500)), Period::Every(Duration::from_secs(1)));
    assert_eq!(Period::from(Duration::from_millis(10)), Period::Continuous);
    assert_eq!(Period::Continuous.to_string(), "0");
    assert_eq!(Period::Every(Duration::from_secs(5400)).to_string(), "1h30m");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(seconds: u64) {
        let duration = Duration::from_secs(seconds);
        prop_assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        prop_assert_eq!(parse_duration(&seconds.to_string()), Ok(duration));
        prop_assert_eq!(Period::from(duration).to_string().parse(), Ok(Period::from(duration)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9dhmsé +.-]{0,12}") {
        let _ = parse_duration(&text);
    }
}
