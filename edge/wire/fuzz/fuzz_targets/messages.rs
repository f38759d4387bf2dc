//! Arbitrary bodies under every key of the endpoint table, as the unit and as the host read them.
//!
//! The first byte chooses the endpoint, or a bulk packet behind the last one; the rest is the body. What was read is written, read
//! and written again: the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threshold_wire::bulk::{MAX_PACKET_BYTES, Packet};
use threshold_wire::call::{answer, read_answer};
use threshold_wire::endpoints::{
    AcknowledgePhoto, ApplyGallery, ApplyUpdate, BeginEnrolment, Calibrate, CancelEnrolment,
    ChallengeCommission, ConfirmUpdate, ERROR_KEY, FindRedundant, FinishCommission, FinishPairing,
    GetAccess, GetBeside, GetCheckpoint, GetClock, GetConfig, GetContext, GetEnrolment,
    GetIdentity, GetInfo, GetLogHead, GetPolicy, GetSlots, GetStats, KeepEnrolment,
    ListAdministrators, ListGallery, ListSchedules, OpenSession, PruneLog, PushUpdate, PutPerson,
    PutPersonAs,
    PutSchedule, PutTemplate, ReadLog, Reboot, RemovePerson, RemoveSchedule, RevertUpdate,
    RevokeAdministrator, SayHello, SearchAgain, SearchGallery, SendEcho, SetAccess, SetClock,
    SetConfig, SetMode, SetPassback, SetPolicy, SetReserve, SetRole, SetSpeed, StageGallery,
    StartPairing, StartPull, StartPush, TABLE, Unlock, WipeUnit, WithdrawPhoto,
};
use threshold_wire::frame::MAX_BODY_BYTES;
use threshold_wire::{Call, Decoder, Encoded, Endpoint, Frame, FrameKind};

const ID: u32 = 7;

/// The host's way with an endpoint's answer, and with an error under its call.
fn answered<E: Endpoint>(body: &[u8]) {
    let frame = |kind, key| Frame { kind, id: ID, key, body };
    for frame in [frame(FrameKind::Answer, E::ANSWER_KEY), frame(FrameKind::Error, ERROR_KEY)] {
        let Ok(read) = read_answer::<E>(ID, &frame) else { continue };
        // A number that was written with more bytes than it needs is written with fewer, so it fits.
        let written = answer::<E>(ID, &read).expect("what was read from a frame fits one");
        let again = arrived(&written, |frame| read_answer::<E>(ID, frame));
        let again = again.expect("what was written is read");
        // Bytes and not values: not a number is not equal to itself.
        assert_eq!(answer::<E>(ID, &again).as_ref(), Ok(&written));
    }
    let _ = read_answer::<E>(ID, &frame(FrameKind::Refusal, [0; 8]));
}

fn arrived<T>(sent: &Encoded, read: impl FnOnce(&Frame<'_>) -> T) -> T {
    let mut decoder = Decoder::new();
    let frame = decoder.feed(&mut sent.as_bytes()).and_then(Result::ok);
    read(&frame.expect("a frame that was sent arrives"))
}

/// Every answer's reader, in the order of the table; a new row makes this fail to compile.
const ANSWERED: [fn(&[u8]); TABLE.len()] = [
    answered::<SayHello>,
    answered::<OpenSession>,
    answered::<StartPairing>,
    answered::<FinishPairing>,
    answered::<GetInfo>,
    answered::<SendEcho>,
    answered::<PutPerson>,
    answered::<PutTemplate>,
    answered::<RemovePerson>,
    answered::<SearchGallery>,
    answered::<ListGallery>,
    answered::<ReadLog>,
    answered::<GetLogHead>,
    answered::<GetContext>,
    answered::<GetIdentity>,
    answered::<GetCheckpoint>,
    answered::<ListAdministrators>,
    answered::<RevokeAdministrator>,
    answered::<SetRole>,
    answered::<GetPolicy>,
    answered::<SetPolicy>,
    answered::<SetMode>,
    answered::<AcknowledgePhoto>,
    answered::<WithdrawPhoto>,
    answered::<ChallengeCommission>,
    answered::<FinishCommission>,
    answered::<GetClock>,
    answered::<SetClock>,
    answered::<GetStats>,
    answered::<StartPull>,
    answered::<StartPush>,
    answered::<SetSpeed>,
    answered::<ApplyGallery>,
    answered::<Unlock>,
    answered::<Reboot>,
    answered::<WipeUnit>,
    answered::<GetSlots>,
    answered::<PushUpdate>,
    answered::<ApplyUpdate>,
    answered::<ConfirmUpdate>,
    answered::<RevertUpdate>,
    answered::<GetAccess>,
    answered::<SetAccess>,
    answered::<ListSchedules>,
    answered::<PutSchedule>,
    answered::<RemoveSchedule>,
    answered::<SetPassback>,
    answered::<GetConfig>,
    answered::<SetConfig>,
    answered::<StageGallery>,
    answered::<GetBeside>,
    answered::<PruneLog>,
    answered::<Calibrate>,
    answered::<BeginEnrolment>,
    answered::<GetEnrolment>,
    answered::<KeepEnrolment>,
    answered::<CancelEnrolment>,
    answered::<SetReserve>,
    answered::<SearchAgain>,
    answered::<FindRedundant>,
    answered::<PutPersonAs>,
];

/// A bulk packet, as both ends read it.
fn packet(bytes: &[u8]) {
    let Some(read) = Packet::read(bytes) else { return };
    let mut written = heapless::Vec::<u8, MAX_PACKET_BYTES>::new();
    assert!(read.write(&mut written), "what was read fits a packet");
    assert_eq!(Packet::read(&written), Some(read));
    // A number that was written with more bytes than it needs is none (`varint`).
    assert_eq!(written, bytes);
}

fuzz_target!(|data: &[u8]| {
    let Some((&row, body)) = data.split_first() else { return };
    let row = usize::from(row) % (TABLE.len() + 1);
    if row == TABLE.len() {
        return packet(body);
    }
    let body = &body[..body.len().min(MAX_BODY_BYTES)];
    let (path, key, _) = TABLE[row];
    if let Ok(call) = Call::read(&Frame { kind: FrameKind::Call, id: ID, key, body }) {
        // Requests of one type have one key only under one path.
        assert_eq!(call.path(), path);
        let _ = call.caller();
    }
    ANSWERED[row](body);
});
