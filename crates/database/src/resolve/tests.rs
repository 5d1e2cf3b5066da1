use sync_core::SiteId;

use super::*;

fn texts(text: &str, site: u64, length: usize) -> [String; 2] {
    let stamp = Stamp::at(5, SiteId::new(site).unwrap());
    let id = RowId::of(&[Value::Int(7)]);
    candidates(&Value::text(text), stamp, &id, length).map(|v| match v {
        Value::Text(s) => s,
        other => panic!("{other:?}"),
    })
}

#[test]
fn texts_are_told_apart_by_the_site_then_by_the_row() {
    let [first, second] = texts("a@b", 12, 100);
    assert_eq!(first, "a@b~12");
    assert!(second.starts_with("a@b~12-") && second.len() == "a@b~12-".len() + 8, "{second}");
}

#[test]
fn texts_are_cut_to_fit() {
    assert_eq!(texts("ééééé", 3, 5)[0], "ééé~3");
    assert!(texts("abcdefgh", 3, 6).iter().all(|t| t.chars().count() <= 6));
}
