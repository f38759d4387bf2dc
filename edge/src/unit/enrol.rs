//! The loop while an enrolment is under way: each frame's face goes to that, and to no visit.
//!
//! Owns the order of things of such a frame: searched, measured, embedded only if the enrolment wants it. Refuses to decide, to count an
//! attempt, and to keep a frame. A visit that was open when it began ends as a refusal; somebody who rings meanwhile is nobody new.

use super::{Course, Event, Sign, Unit};
use crate::enrolment::Seen;
use crate::stats::FrameCost;
use std::time::Instant;
use threshold_models::frame::Frame;
use threshold_record::Cause;

impl Unit {
    /// The enrolment that is under way. A visit is none beside it.
    pub(super) fn enrolling(&mut self) -> Option<u32> {
        let under_way = self.shared.lock().enrolment_under_way();
        let is_new = under_way != self.enrolment;
        self.enrolment = under_way;
        if under_way.is_some() {
            // A credential that was given meanwhile had its refusal. Whoever stands there when the enrolment ends is asked after a rest.
            self.end();
            if is_new {
                self.show(Sign::Look);
            }
            let now_ms = self.clock.monotonic_ms();
            self.course = Course::Spent { announced: false, since_ms: now_ms, face_ms: now_ms };
        }
        under_way
    }

    /// Takes one event of the camera for the enrolment of that number.
    pub(super) fn enrol(&mut self, number: u32, event: Event) {
        let Event::Frame(frame) = event else { return };
        let start = Instant::now();
        self.cost = FrameCost::default();
        self.shared.lock().mend(Cause::Camera);
        self.enrol_frame(number, &frame);
        let whole = self.camera.making() + start.elapsed();
        self.camera.take_back(frame);
        let cost = FrameCost { whole, ..self.cost };
        self.shared.lock().stats_mut().frame(cost, self.camera.dropped());
    }

    fn enrol_frame(&mut self, number: u32, frame: &Frame) {
        if self.rests() {
            return;
        }
        let start_ms = self.clock.monotonic_ms();
        self.enrol_face(number, frame);
        self.searched(start_ms, false);
    }

    fn enrol_face(&mut self, number: u32, frame: &Frame) {
        let Some(engine) = self.engine.as_mut() else { return };
        let start = Instant::now();
        let faces = match engine.detect(frame) {
            Ok(faces) => faces,
            Err(error) => return self.engine_failed(&error),
        };
        self.cost.detect = Some(start.elapsed());
        let seen = Seen::of(frame, &faces, &self.limits);
        let Some(pose) = self.shared.lock().enrolment_sees(number, &seen) else { return };
        let start = Instant::now();
        let embedding = match engine.embed(frame, &faces) {
            Ok(mut embeddings) => embeddings.pop(),
            Err(error) => return self.engine_failed(&error),
        };
        self.cost.embed = Some(start.elapsed());
        let Some(embedding) = embedding else { return };
        if self.shared.lock().enrolment_takes(number, &seen, pose, embedding) {
            // Anew, which is a blink more for whoever looks at it.
            self.show(Sign::Look);
        }
    }
}
