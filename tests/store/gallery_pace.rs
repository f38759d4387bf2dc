//! What the gallery takes: fdatasyncs and bytes of each change, and the time of loading it beside reading and decrypting as many
//! bytes from one flat file in the same run. Times are printed, and judged in a release build only; `-- --nocapture pace` shows
//! them.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use crate::{MODEL, name};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use threshold_record::{PersonId, Template};
use threshold_store::{
    FileKeys, Flash, FlashError, FlashFault, KEY_FILE, MockKeys, Object, Operation, Place, Series,
    Store,
};
use threshold_tests::skipped;

/// Flash in memory that counts. A clone is a handle on the same.
#[derive(Clone, Default)]
struct CountingFlash(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    objects: BTreeMap<Object, Vec<u8>>,
    /// As the file body takes them: a sync one, a replace one for each file and one for the folder, a removal one.
    fdatasyncs: u32,
    bytes: u64,
    /// What was last read or written of one segment of the gallery, in one go.
    longest: usize,
}

impl CountingFlash {
    /// What something takes: fdatasyncs and bytes.
    fn taken<T>(&self, act: impl FnOnce() -> T) -> (T, u32, u64) {
        let counted = || {
            let counts = self.0.lock().unwrap();
            (counts.fdatasyncs, counts.bytes)
        };
        let before = counted();
        let done = act();
        let after = counted();
        (done, after.0 - before.0, after.1 - before.1)
    }
}

impl Flash for CountingFlash {
    fn segments(&self, of: Series) -> Vec<u32> {
        let counts = self.0.lock().unwrap();
        let parts = counts.objects.keys().filter_map(|object| object.part());
        parts.filter(|&(series, _)| series == of).map(|(_, number)| number).collect()
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        Ok(self.0.lock().unwrap().objects.get(&object).map(|bytes| bytes.len() as u64))
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        let counts = self.0.lock().unwrap();
        let Some(bytes) = counts.objects.get(&object) else { return Ok(0) };
        let from = (offset as usize).min(bytes.len());
        let len = into.len().min(bytes.len() - from);
        into[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        let mut counts = self.0.lock().unwrap();
        counts.bytes += bytes.len() as u64;
        let (operation, fault) = (Operation::Append, FlashFault::Io);
        let missing =
            FlashError { object, operation, fault, place: Place::Folder, detail: String::new() };
        counts.objects.get_mut(&object).ok_or(missing)?.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: Object) -> Result<(), FlashError> {
        self.0.lock().unwrap().fdatasyncs += 1;
        Ok(())
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        let mut counts = self.0.lock().unwrap();
        counts.fdatasyncs += 2;
        counts.bytes += bytes.len() as u64;
        if matches!(object, Object::GallerySegment(_)) {
            counts.longest = counts.longest.max(bytes.len());
        }
        counts.objects.insert(object, bytes.to_vec());
        Ok(())
    }

    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        objects.iter().try_for_each(|(object, bytes)| self.replace(*object, bytes))?;
        // All names are made durable by one sync of the folder.
        self.0.lock().unwrap().fdatasyncs -= objects.len() as u32 - 1;
        Ok(())
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        let mut counts = self.0.lock().unwrap();
        counts.fdatasyncs += u32::from(counts.objects.remove(&object).is_some());
        Ok(())
    }
}

/// A template of so many components.
fn template(person: PersonId, slot: u8, components: usize) -> Template {
    let mark = (person.0 % 100) as i8 + 1;
    let vector = (0..components).map(|at| mark.wrapping_mul(at as i8 | 1).max(-127)).collect();
    Template { person, slot, quality: 80, model: MODEL.tag(), scale: 0.01, vector }
}

/// Idles until nothing is due; gives the fdatasyncs of the longest step, and the bytes of all.
fn idle(store: &mut Store, flash: &CountingFlash) -> (u32, u64) {
    let (mut most, mut bytes) = (0, 0);
    loop {
        let (more, fdatasyncs, step) = flash.taken(|| store.tidy_up().unwrap());
        (most, bytes) = (most.max(fdatasyncs), bytes + step);
        if !more {
            return (most, bytes);
        }
    }
}

#[test]
fn a_change_takes_at_most_three_fdatasyncs_and_an_enrolment_at_most_64_kib() {
    let flash = CountingFlash::default();
    let keys = Arc::new(MockKeys::seeded(1));
    let mut store = Store::open(Box::new(flash.clone()), keys).unwrap().0;
    store.load_gallery(MODEL).unwrap();
    let people = 3000;
    let (mut each, mut all, mut step) = (0, 0, 0);
    for at in 0..people {
        let text = format!("person {at}");
        let (id, add_syncs, add_bytes) = flash.taken(|| store.add_person(name(&text)).unwrap());
        let (_, put_syncs, put_bytes) =
            flash.taken(|| store.put_template(template(id, 0, 512)).unwrap());
        assert!(add_syncs <= 3 && put_syncs <= 3, "{add_syncs} and {put_syncs} fdatasyncs");
        let (most, bytes) = idle(&mut store, &flash);
        step = step.max(most);
        each = each.max(add_bytes + put_bytes);
        all += add_bytes + put_bytes + bytes;
    }
    let enrolment = all / people;
    let (mut removal, mut removals) = (0, 0);
    for at in (1..=people as u32).step_by(2) {
        let (_, syncs, bytes) = flash.taken(|| store.remove_person(PersonId(at)).unwrap());
        removal = removal.max(syncs);
        let (most, more) = idle(&mut store, &flash);
        step = step.max(most);
        removals += bytes + more;
    }
    let removals = removals / (people / 2);
    let longest = flash.0.lock().unwrap().longest;
    println!(
        "an enrolment writes {each} bytes at once at most, {enrolment} with the cleaning that follows; a removal {removals} \
         bytes and at most {removal} fdatasyncs with the cleaning of one segment; a step of cleaning {step} fdatasyncs and \
         {longest} bytes at most"
    );
    assert!(each <= 64 << 10 && enrolment <= 64 << 10);
    assert!(removal <= 3, "{removal} fdatasyncs");
    assert!(step <= 5, "{step} fdatasyncs");
    assert!(longest <= (256 << 10) + 1024, "{longest} bytes");
}

/// Templates that are loaded.
const LOADED: usize = 100_000;

/// What this thread had of a processor. On a machine with other work a clock on the wall would show the longer of two pieces of
/// work interrupted and the shorter one not.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Loads a gallery of so many components to a template and so many templates to a person; gives how many times as long that takes.
fn load(components: usize, of_each: u8) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let flash = CountingFlash::default();
    let keys = Arc::new(FileKeys::at(&path.join(KEY_FILE)));
    let mut store = Store::open(Box::new(flash.clone()), keys).unwrap().0;
    store.load_gallery(MODEL).unwrap();
    for at in 0..LOADED / usize::from(of_each) {
        let id = store.add_person(name(&format!("person {at}"))).unwrap();
        for slot in 0..of_each {
            store.put_template(template(id, slot, components)).unwrap();
        }
    }
    idle(&mut store, &flash);
    drop(store);
    let mut flat = Vec::new();
    for (object, bytes) in &flash.0.lock().unwrap().objects {
        std::fs::write(path.join(object.name()), bytes).unwrap();
        if matches!(object, Object::GallerySegment(_)) {
            flat.extend_from_slice(bytes);
        }
    }
    // The same bytes in one file, sealed in pieces as long as a segment.
    let cipher = XChaCha20Poly1305::new(&[7; 32].into());
    let nonce = XNonce::from([9; 24]);
    let mut sealed = Vec::new();
    for piece in flat.chunks(256 << 10) {
        let mut piece = piece.to_vec();
        let tag =
            cipher.encrypt_inout_detached(&nonce, b"about", piece.as_mut_slice().into()).unwrap();
        sealed.extend_from_slice(&piece);
        sealed.extend_from_slice(&tag);
    }
    std::fs::write(path.join("flat"), &sealed).unwrap();
    let (mut loaded_in, mut read_in, mut on_the_wall) =
        (Duration::MAX, Duration::MAX, Duration::MAX);
    // In turns, and the best of each.
    for _ in 0..7 {
        let start = processor_time();
        let mut bytes = std::fs::read(path.join("flat")).unwrap();
        for piece in bytes.chunks_mut((256 << 10) + 16) {
            let (body, tag) = piece.split_last_chunk_mut::<16>().unwrap();
            let tag = Tag::from(*tag);
            cipher.decrypt_inout_detached(&nonce, b"about", body.into(), &tag).unwrap();
        }
        read_in = read_in.min(processor_time() - start);
        let mut store = Store::open_folder(path).unwrap().0;
        let (start, wall) = (processor_time(), Instant::now());
        assert_eq!(store.load_gallery(MODEL).unwrap().n_templates(), LOADED);
        loaded_in = loaded_in.min(processor_time() - start);
        on_the_wall = on_the_wall.min(wall.elapsed());
    }
    let ratio = loaded_in.as_secs_f64() / read_in.as_secs_f64();
    println!(
        "{LOADED} templates of {components} components, {of_each} to a person, {:.1} MB: loaded in {loaded_in:.1?} of the \
         processor ({on_the_wall:.1?} on the wall), as many bytes read and decrypted in {read_in:.1?}, {ratio:.2} times",
        flat.len() as f64 / 1e6
    );
    ratio
}

#[test]
fn a_full_gallery_loads_in_at_most_three_times_a_plain_read_and_decryption() {
    if cfg!(debug_assertions) {
        return skipped("the pace of loading", "not optimised: cargo xtask soak store");
    }
    for components in [128, 512] {
        let ratio = load(components, 4);
        assert!(ratio <= 3.0, "{ratio:.2} times");
    }
    // As many people as templates: the names take as long as the templates. Told, and not judged.
    load(128, 1);
}
