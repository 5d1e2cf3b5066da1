use super::*;
use proptest::prelude::*;

#[test]
fn examples() {
    let table = [
        ("sessions", "sessions", true),
        ("sessions", "sessions2", false),
        ("sessions", "Sessions", false),
        ("cache_*", "cache_", true),
        ("cache_*", "cache_x", true),
        ("cache_*", "my_cache_x", false),
        ("*_log", "audit_log", true),
        ("*_log", "audit_logs", false),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("t?", "t1", true),
        ("t?", "t", false),
        ("t?", "té", true),
        ("", "", true),
        ("", "t", false),
        ("*", "", true),
        ("**", "anything", true),
    ];
    for (pattern, name, expected) in table {
        assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
    }
}

#[test]
fn a_hostile_pattern_ends() {
    assert!(!Pattern::new("*a".repeat(60) + "b").matches(&"a".repeat(2000)));
}

/// The definition, without any cleverness.
fn defined(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], rest) => rest.is_empty(),
        (['*', after @ ..], _) => (0..=name.len()).any(|taken| defined(after, &name[taken..])),
        ([c, after @ ..], [n, rest @ ..]) => (*c == '?' || c == n) && defined(after, rest),
        _ => false,
    }
}

proptest! {
    #[test]
    fn agrees_with_the_definition(pattern in "[ab*?]{0,7}", name in "[ab]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(Pattern::new(pattern.clone()).matches(&name), defined(&chars(&pattern), &chars(&name)));
    }
}
