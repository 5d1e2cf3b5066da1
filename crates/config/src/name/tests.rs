use super::*;
use proptest::prelude::*;

#[test]
fn good_names() {
    for text in ["crm", "Geneva-2", "a", "_x", "site.example.org", &"n".repeat(64)] {
        assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
    }
}

#[test]
fn bad_names() {
    let table = [
        ("", NameError::Empty),
        (".", NameError::First('.')),
        ("..", NameError::First('.')),
        (".hidden", NameError::First('.')),
        ("-vd", NameError::First('-')),
        ("a/b", NameError::Character('/')),
        ("a b", NameError::Character(' ')),
        ("a\0", NameError::Character('\0')),
        ("Genève", NameError::Character('è')),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Name>(), Err(error), "{text:?}");
    }
    assert_eq!("n".repeat(65).parse::<Name>(), Err(NameError::TooLong(65)));
}

proptest! {
    #[test]
    fn a_name_is_always_one_plain_path_component(text in ".{0,70}") {
        if let Ok(name) = text.parse::<Name>() {
            let path = std::path::Path::new(name.as_str());
            prop_assert_eq!(path.components().count(), 1);
            prop_assert_eq!(path.file_name().unwrap(), name.as_str());
        }
    }
}
