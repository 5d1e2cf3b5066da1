use std::collections::BTreeMap;

use proptest::prelude::*;
use sync_core::{Incarnation, Row, RowState, SiteId, Stamp, StoreId};
use sync_store::contents::{Body, CHUNKS, Chunk, LONGEST_PATH, NAMED};
use sync_store::{Applied, Change, Description, Role, SlaveSettings, TableHead, TableInfo, TableStatus, Trouble};
use sync_store::{Hash, Realised, Reason, Skipped};

use super::*;

fn source() -> Source {
    Source { store: StoreId(u128::MAX - 5), incarnation: Incarnation(u64::MAX) }
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::UInt),
        any::<u32>().prop_map(Value::Float),
        any::<u64>().prop_map(Value::Double),
        ".{0,12}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
    ];
    proptest::collection::vec(value, 0..6)
}

fn batch() -> impl Strategy<Value = Batch> {
    let row = (any::<u64>(), proptest::option::of(values())).prop_map(|(millis, values)| {
        let site = SiteId::new(7).unwrap();
        Row { state: RowState::inserted_at(Stamp::at(millis, site)), values }
    });
    let change = (values(), row).prop_map(|(key, row)| Change { table: 0, key, row });
    proptest::collection::vec(change, 0..5).prop_map(|changes| Batch {
        upto: Some(Position { seq: 9, token: u64::MAX }),
        heads: vec![TableHead { name: "naïve".into(), columns: vec!["a".into(), "b".into()] }],
        changes,
        ..Batch::empty(source())
    })
}

proptest! {
    #[test]
    fn batches_arrive_exactly(batch in batch()) {
        let bytes = pack(&Request::Apply(Cow::Borrowed(&batch), Mode::Preview)).unwrap();
        let Request::Apply(received, mode) = unpack(&bytes).unwrap() else { panic!("another verb") };
        prop_assert_eq!(received.into_owned(), batch);
        prop_assert_eq!(mode, Mode::Preview);
    }

    /// Hostile bytes are read or refused.
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = unpack::<Request>(&bytes);
        let _ = unpack::<Description>(&bytes);
        let _ = unpack::<Batch>(&bytes);
        let _ = opened(&bytes);
    }

    /// The same of what is said about files.
    #[test]
    fn spoilt_contents_never_panic(
        offset: u64,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let piece = Piece::asked(Hash([7; 32]), Body::Data { offset, bytes });
        let request = Request::Contents(ContentsRequest::Receive(Cow::Borrowed(&piece)));
        let mut message = pack(&request).unwrap();
        let Request::Contents(ContentsRequest::Receive(received)) = unpack(&message).unwrap() else {
            panic!("another verb")
        };
        prop_assert_eq!(received.into_owned(), piece);
        let at = at.index(message.len());
        message[at] = byte;
        let _ = unpack::<Request>(&message);
        let _ = unpack::<Piece>(&message[at..]);
        let _ = unpack::<Vec<Want>>(&message[at..]);
        let _ = unpack::<Realised>(&message[at..]);
    }

    /// What is a message but for one byte is read or refused as well.
    #[test]
    fn spoilt_messages_never_panic(batch in batch(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = pack(&Request::Apply(Cow::Borrowed(&batch), Mode::Write)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = unpack::<Request>(&bytes);
    }
}

#[test]
fn every_answer_arrives() {
    let about = Description {
        site: SiteId::new(4095).unwrap(),
        site_name: "lyon".into(),
        vd: "crm".into(),
        vd_version: "6.2".into(),
        product_version: "0.1.0".into(),
        protocol: 3,
        source: source(),
        head: Position { seq: 5, token: 6 },
        role: Role::Slave(SlaveSettings { masters: vec!["geneva".into()] }),
        clock_micros: -5,
        clock_uncertainty_micros: 7,
        upgrading: true,
        restoring: false,
        epochs: Vec::new(),
        far: true,
        tables: vec![TableInfo {
            name: "t".into(),
            fingerprint: "f".into(),
            definition: vec!["a int".into()],
            key: vec![],
            sums: Some("s".into()),
            status: TableStatus::Refused("no key".into()),
        }],
        suspect: vec!["t".into()],
        warnings: vec![],
    };
    let message = answer(Part::Done, &about).unwrap();
    let (part, body) = opened(&message).unwrap();
    let received: Description = unpack(body).unwrap();
    assert_eq!((part, format!("{received:?}")), (Part::Done, format!("{about:?}")));
    let error = StoreError::new(Trouble::Halt, "too many").hint("look");
    let (_, body) = (Part::Failed, pack(&error).unwrap());
    let received: StoreError = unpack(&body).unwrap();
    assert_eq!(
        (received.trouble, received.message, received.hint),
        (Trouble::Halt, "too many".into(), Some("look".into()))
    );
    let applied = Applied {
        tables: BTreeMap::from([("t".to_owned(), Default::default())]),
        conflicts: vec![],
        along: 7,
        in_vain: 3,
    };
    assert_eq!(unpack::<Applied>(&pack(&applied).unwrap()).unwrap(), applied);
}

#[test]
fn knowledge_arrives_with_tables_that_are_held() {
    let mut knowledge = sync_core::Knowledge::default();
    knowledge.advance(source(), Position { seq: 10, token: 3 });
    knowledge.hold(source(), "t", 4);
    assert_eq!(unpack::<sync_core::Knowledge>(&pack(&knowledge).unwrap()).unwrap(), knowledge);
}

#[test]
fn what_is_left_over_or_no_site_is_refused() {
    let mut bytes = pack(&Request::Describe).unwrap();
    bytes.push(0);
    assert_eq!(unpack::<Request>(&bytes).unwrap_err().fault, Fault::Protocol);
    for number in [0u64, 4096] {
        assert!(unpack::<SiteId>(&pack(&number).unwrap()).is_err());
    }
}

#[test]
fn lists_that_are_longer_than_anybody_sends_are_refused() {
    let chunk = Chunk { offset: 0, size: 1, hash: Hash([1; 32]) };
    let chunks = |n: usize| Piece::asked(Hash([2; 32]), Body::Chunks(vec![chunk; n]));
    assert_eq!(unpack::<Piece>(&pack(&chunks(CHUNKS)).unwrap()).unwrap(), chunks(CHUNKS));
    assert_eq!(unpack::<Piece>(&pack(&chunks(CHUNKS + 1)).unwrap()).unwrap_err().fault, Fault::Protocol);
    let groups = |n: usize| Piece::asked(Hash([2; 32]), Body::Groups(vec![chunk; n]));
    assert_eq!(unpack::<Piece>(&pack(&groups(CHUNKS)).unwrap()).unwrap(), groups(CHUNKS));
    assert_eq!(unpack::<Piece>(&pack(&groups(CHUNKS + 1)).unwrap()).unwrap_err().fault, Fault::Protocol);
    let skipped = |path: usize| Skipped { path: vec![b'x'; path], reason: Reason::Changed };
    assert!(unpack::<Skipped>(&pack(&skipped(LONGEST_PATH)).unwrap()).is_ok());
    assert!(unpack::<Skipped>(&pack(&skipped(LONGEST_PATH + 1)).unwrap()).is_err());
    let realised = |n: usize| Realised { skipped: vec![skipped(1); n], ..Realised::default() };
    assert!(unpack::<Realised>(&pack(&realised(NAMED)).unwrap()).is_ok());
    assert!(unpack::<Realised>(&pack(&realised(NAMED + 1)).unwrap()).is_err());
    // A hash is 32 bytes, neither more nor fewer.
    let bytes = pack(&Hash([3; 32])).unwrap();
    assert!(unpack::<Hash>(&bytes).is_ok());
    assert!(unpack::<Hash>(&pack(&"x".repeat(32)).unwrap()).is_err());
}

/// A batch of so many rows that are alike, as rows of a table are.
fn alike(rows: i64) -> Batch {
    let row = |id| {
        let site = SiteId::new(7).unwrap();
        let values = Some(vec![Value::Int(id), Value::Text(format!("customer {id}")), Value::Text("Lausanne".into())]);
        Change {
            table: 0,
            key: vec![Value::Int(id)],
            row: Row { state: RowState::inserted_at(Stamp::at(5, site)), values },
        }
    };
    Batch { changes: (0..rows).map(row).collect(), ..Batch::empty(source()) }
}

#[test]
fn rows_that_are_alike_take_little_and_contents_are_left_as_they_are() {
    let batch = alike(1000);
    let request = Request::ApplyAhead(Cow::Borrowed(&batch), Mode::Write);
    let (small, plain) = (pack(&request).unwrap(), pack_content(&request).unwrap());
    assert!(small.len() < plain.len() / 2, "{} of {} bytes", small.len(), plain.len());
    for bytes in [small, plain] {
        let Request::ApplyAhead(received, _) = unpack(&bytes).unwrap() else { panic!("another verb") };
        assert_eq!(*received, batch);
    }
    let answered = answer(Part::Item, &batch).unwrap();
    let (part, body) = opened(&answered).unwrap();
    assert!(part == Part::Item && body.len() < answer_content(part, &batch).unwrap().len() / 2);
    assert_eq!(unpack::<Batch>(body).unwrap(), batch);
}

/// Who makes messages larger again needs no more room than was said, whatever they claim to become.
#[test]
fn what_becomes_too_much_is_refused() {
    let large = vec![0_u8; LARGE + 1];
    assert_eq!(pack(&serde_bytes(&large)).unwrap().len(), LARGE + 7, "it is sent as it is");
    let mut bomb = squeeze::squeezed(&large).unwrap();
    assert!(bomb.len() < 1 << 16);
    assert_eq!(unpack::<Batch>(&bomb).unwrap_err().fault, Fault::Protocol);
    bomb.truncate(20);
    assert_eq!(unpack::<Batch>(&bomb).unwrap_err().fault, Fault::Protocol);
}

/// Bytes as bytes.
fn serde_bytes(bytes: &[u8]) -> impl Serialize + '_ {
    struct Bytes<'a>(&'a [u8]);
    impl Serialize for Bytes<'_> {
        fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
            out.serialize_bytes(self.0)
        }
    }
    Bytes(bytes)
}
