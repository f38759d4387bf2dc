//! The repeat of a lost answer: the same call gets the answer that was kept, any other does not.

use crate::{Received, decode, lone, samples};
use threshold_record::PersonId;
use threshold_wire::message::{IfThere, PersonPut, PersonPutDone};
use threshold_wire::{Call, Decoder, Encoded, LastAnswer, RequestError, call, endpoints};

fn put(id: u32, name: &str) -> Received {
    let put = PersonPut { name: samples::name(name), if_there: IfThere::Refuse };
    lone(call::request::<endpoints::PutPerson>(id, &put).unwrap().as_bytes())
}

fn done(id: u32, person: u32) -> Encoded {
    let person = PersonId(person);
    let done = PersonPutDone { person, added: true, free_slot: Some(0), generation: 1 };
    call::answer::<endpoints::PutPerson>(id, &Ok(done)).unwrap()
}

#[test]
fn the_same_call_again_gets_the_answer_that_was_kept() {
    let mut last = LastAnswer::new();
    let call = put(7, "Ada");
    assert_eq!(last.to(&call.frame()), None);
    let answer = done(7, 1);
    assert_eq!(last.keep(&call.frame(), answer.clone()), &answer);
    for _ in 0..3 {
        assert_eq!(last.to(&call.frame()), Some(&answer));
    }
    // As it comes off the line a second time, too.
    assert_eq!(last.to(&lone(&call.line()).frame()), Some(&answer));
}

#[test]
fn another_id_key_or_body_does_not() {
    let mut last = LastAnswer::new();
    let call = put(7, "Ada");
    last.keep(&call.frame(), done(7, 1));
    let mut longer = call.clone();
    longer.body.push(0);
    let mut swapped = call.clone();
    swapped.body.swap(1, 2);
    let others = [
        Received { id: 8, ..call.clone() },
        Received { key: [1; 8], ..call.clone() },
        put(7, "Adb"),
        put(7, "Ad"),
        longer,
        swapped,
        Received { body: vec![], ..call.clone() },
    ];
    for other in others {
        assert_eq!(last.to(&other.frame()), None, "{other:?}");
    }
    assert!(last.to(&call.frame()).is_some());
}

#[test]
fn only_the_last_answer_is_kept() {
    let mut last = LastAnswer::new();
    let (first, second) = (put(7, "Ada"), put(8, "Grace"));
    last.keep(&first.frame(), done(7, 1));
    last.keep(&second.frame(), done(8, 2));
    assert_eq!(last.to(&first.frame()), None);
    assert_eq!(last.to(&second.frame()), Some(&done(8, 2)));
}

/// A unit that adds a person to its list, over a line that loses answers.
#[test]
fn a_call_whose_answer_was_lost_is_obeyed_once() {
    let mut people: Vec<String> = vec![];
    let mut last = LastAnswer::<Encoded>::new();
    let mut decoder = Decoder::new();
    let mut unit = |line: &[u8]| -> Encoded {
        let [Ok(frame)] = &decode(&mut decoder, line)[..] else { panic!("no call") };
        if let Some(again) = last.to(&frame.frame()) {
            return again.clone();
        }
        let Ok(Call::PutPerson(put)) = Call::read(&frame.frame()) else { panic!("no person") };
        let answer = if people.iter().any(|name| *name == *put.name) {
            let taken = Err(RequestError::NameTaken { person: PersonId(1) });
            call::answer::<endpoints::PutPerson>(frame.id, &taken).unwrap()
        } else {
            people.push(put.name.to_string());
            done(frame.id, people.len() as u32)
        };
        last.keep(&frame.frame(), answer).clone()
    };
    let line = put(7, "Ada").line();
    let answers: Vec<Encoded> = (0..4).map(|_| unit(&line)).collect();
    assert!(answers.iter().all(|answer| *answer == done(7, 1)), "the answer changed");
    // A new request of the same name is no repeat.
    let again = unit(&put(8, "Ada").line());
    assert_ne!(again, done(8, 2));
    assert_eq!(people, ["Ada"]);
}
