use proptest::prelude::*;

use super::*;

fn frames() -> impl Strategy<Value = Frame> {
    let kind = proptest::sample::select(Kind::ALL.to_vec());
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    (kind, any::<bool>(), any::<u32>(), body).prop_map(|(kind, last, channel, body)| Frame {
        kind,
        last,
        channel,
        body,
    })
}

proptest! {
    #[test]
    fn frames_arrive_as_they_were_sent(sent in proptest::collection::vec(frames(), 0..6)) {
        let mut bytes = Vec::new();
        sent.iter().for_each(|f| f.write(&mut bytes).unwrap());
        let mut from = bytes.as_slice();
        let mut received = Vec::new();
        while let Some(frame) = Frame::read(&mut from).unwrap() {
            received.push(frame);
        }
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn a_frame_that_is_cut_off_is_refused(frame in frames(), keep in 1usize..10) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        let cut = bytes.len() - keep.min(bytes.len() - 1);
        prop_assert!(Frame::read(&mut &bytes[..cut]).is_err());
    }

    /// What is said to begin with a frame is never waited for.
    #[test]
    fn what_can_be_read_without_waiting_is_known(frame in frames(), more in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        prop_assert!((0..bytes.len()).all(|end| !Frame::begins(&bytes[..end])));
        bytes.extend(more);
        prop_assert!(Frame::begins(&bytes));
    }

    /// Whatever comes, no more than a body's limit is taken, and nothing panics.
    #[test]
    fn random_bytes_are_frames_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut from = bytes.as_slice();
        while let Ok(Some(frame)) = Frame::read(&mut from) {
            prop_assert!(frame.body.len() <= BODY_LIMIT);
        }
    }
}

#[test]
fn a_giant_length_is_refused_before_anything_is_read() {
    let mut bytes = vec![Kind::Data as u8, 1, 0, 0, 0, 0];
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(Frame::begins(&bytes), "nothing has to come for it to be refused");
    let error = Frame::read(&mut bytes.as_slice()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
