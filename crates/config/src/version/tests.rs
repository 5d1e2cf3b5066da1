use super::*;
use proptest::prelude::*;
use std::hash::DefaultHasher;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn hash(version: &Version) -> u64 {
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn every_version_is_lower_than_the_next() {
    let rising = [
        "0",
        "0.0.1",
        "0.9",
        "1-0",
        "1-1",
        "1-a",
        "1",
        "1.0.1",
        "5.99.99",
        "6-alpha",
        "6-alpha.1",
        "6-beta",
        "6.0",
        "6.0.0.1",
        "6.0.1",
        "6.2-beta",
        "6.2-rc2",
        "6.2-rc10",
        "6.2",
        "6.10",
        "10",
        "2024.5.1",
    ];
    for (i, low) in rising.iter().enumerate() {
        for high in &rising[i + 1..] {
            assert!(version(low) < version(high), "{low} < {high}");
            assert!(version(high) > version(low), "{high} > {low}");
        }
    }
}

#[test]
fn equal_versions() {
    for (a, b) in
        [("6.0", "6"), ("6.0.0", "6.0"), ("v6.2", "6.2"), (" 6.2\n", "6.2"), ("06.02", "6.2"), ("1.0-rc1", "1-rc1")]
    {
        assert_eq!(version(a), version(b), "{a} = {b}");
        assert_eq!(hash(&version(a)), hash(&version(b)), "{a} = {b}");
    }
}

#[test]
fn not_versions() {
    let bad = [
        "",
        " ",
        ".",
        "6.",
        ".6",
        "6..2",
        "six",
        "6.x",
        "+6",
        "-6",
        "6-",
        "6.2 rc1",
        "6.2-é",
        "6,2",
        "99999999999999999999",
        "vv6",
    ];
    for text in bad {
        assert!(text.parse::<Version>().is_err(), "{text:?}");
    }
    assert_eq!(
        "six".parse::<Version>().unwrap_err().to_string(),
        "\"six\" is not a version; write numbers and dots like 6.2.1, with a suffix if need be like 6.2.1-rc2"
    );
    assert!("1.".repeat(1000).parse::<Version>().is_err());
}

#[test]
fn shown_as_written() {
    assert_eq!(version(" v6.0.0-rc1\n").to_string(), "v6.0.0-rc1");
}

fn any_version() -> impl Strategy<Value = Version> {
    "[0-9]{1,2}(\\.[0-2]{1,2}){0,3}(-[a-b0-2.]{1,3})?".prop_map(|text| version(&text))
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,80}") {
        let _ = text.parse::<Version>();
    }

    #[test]
    fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        if a == b {
            prop_assert_eq!(hash(&a), hash(&b));
            prop_assert_eq!(a.cmp(&c), b.cmp(&c));
        }
    }

    #[test]
    fn numbers_compare_as_numbers(a in prop::collection::vec(0u64..30, 1..4), b in prop::collection::vec(0u64..30, 1..4)) {
        let text = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
        let padded = |numbers: &[u64]| { let mut n = numbers.to_vec(); n.resize(4, 0); n };
        prop_assert_eq!(version(&text(&a)).cmp(&version(&text(&b))), padded(&a).cmp(&padded(&b)));
    }
}
